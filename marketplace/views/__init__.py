"""The portal's pages on the floor: catalogue, people, organisations.

Who may do what in an account (contracts, Isolation 1; shown on the organisations page):
members use it: catalogue, playground, usage, the list of keys without the keys themselves;
admins and owners also make and end keys, invite, change and remove members and see the credit
ledger; only owners make, change or remove owners. A stranger gets a 404, a member a 403.
"""
