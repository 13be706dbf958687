"""A language model's chat template made to take turns with pictures, as processors of vision-language models want it."""

FLATTEN = (
    "{% set flat = namespace(messages=[]) %}{% for message in messages %}{% if message['content'] is string %}"
    "{% set flat.messages = flat.messages + [message] %}{% else %}{% set turn = namespace(text='') %}"
    "{% for part in message['content'] %}{% if part['type'] == 'image' %}{% set turn.text = turn.text + 'IMAGE\n' %}"
    "{% else %}{% set turn.text = turn.text + part['text'] %}{% endif %}{% endfor %}"
    "{% set flat.messages = flat.messages + [dict(message, content=turn.text)] %}{% endif %}{% endfor %}"
    "{% set messages = flat.messages %}"
)
"""Lists of parts become texts, a picture becomes its token and a line break, as LLaVA writes it."""

PLAIN = (
    "{% for message in messages %}{% if message['role'] == 'system' %}{{ message['content'] + '\n' }}"
    "{% else %}{{ message['role'].upper() + ': ' + message['content'] }}"
    "{{ eos_token if message['role'] == 'assistant' else '\n' }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ 'ASSISTANT: ' }}{% endif %}"
)
"""For a language model that was never taught to chat."""


def with_pictures(template: str | None, image_token: str) -> str:
    """The template of a tokenizer, or a plain one where it has none, over messages whose contents may be lists of parts."""
    return FLATTEN.replace("IMAGE", image_token) + (template or PLAIN)
