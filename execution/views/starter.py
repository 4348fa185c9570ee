"""The smallest package that a creator can start from: two files, shown where a model is published."""

from __future__ import annotations

from typing import Final

COG_YAML: Final = """build:
  python_version: "3.11"
  python_packages: []        # such as "pillow==11.3.0"
predict: "predict.py:Predictor"
"""

PREDICT_PY: Final = '''from cog import BasePredictor, Input


class Predictor(BasePredictor):
    def setup(self) -> None:
        """Once per started model: load weights here."""
        self.mark = "!"

    def predict(self, text: str = Input(description="What to shout", max_length=200)) -> str:
        """Once per prediction; the annotations make its form and its API."""
        return text.upper() + self.mark
'''
