"""Names that nobody may take: first segments of our own pages' addresses, and the house's own."""

RESERVED = frozenset(
    """
    about accounts admin alerts api assets auth billing blog chat collections credits dashboard deployments docs
    earnings explore files generations guardrails healthz help home house keys legal login logout margin media metrics
    models new operate organisations payables payouts playground predict predictions presets pricing privacy
    provider-keys providers publish rankings root security settings signup staff statements static status support
    system terms train trainings turnpike usage v1 v1beta v2 wallet webhooks
    """.split()  # noqa: SIM905  a list of quoted words would fill a page
)

# What the providers of models hosted here begin with; no slug that anybody can choose has an @.
HOSTED = "hosted@"
