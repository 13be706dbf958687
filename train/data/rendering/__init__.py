"""Episodes to token sequences through the model's own processor and chat template."""

from train.data.rendering.renderer import Renderer
from train.data.rendering.settings import RenderSettings

__all__ = ["RenderSettings", "Renderer"]
