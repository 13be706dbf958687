"""Vision-language models from transformers and what the trainer lays around them."""
