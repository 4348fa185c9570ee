"""The dialect families that a simulated provider speaks, by the names that adapters have."""

from typing import Final

from routing.simulation.anthropic import AnthropicMessages
from routing.simulation.bedrock_converse import BedrockConverse
from routing.simulation.cohere import CohereChat
from routing.simulation.dashscope_native import DashScope
from routing.simulation.exchange import Exchange
from routing.simulation.gemini import Gemini
from routing.simulation.openai_chat import OpenAIChat
from routing.simulation.openai_responses import OpenAIResponses

DIALECTS: Final[dict[str, type[Exchange]]] = {
    "openai_chat": OpenAIChat,
    "openai_responses": OpenAIResponses,
    "anthropic": AnthropicMessages,
    "gemini": Gemini,
    "cohere": CohereChat,
    "bedrock_converse": BedrockConverse,
    "dashscope_native": DashScope,
}
