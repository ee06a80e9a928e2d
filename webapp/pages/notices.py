"""What a page says after a step succeeded. The URL names the sentence, so nobody can put words into a page."""

from __future__ import annotations

from flask import request

_SENTENCES = {
    "source-saved": "The source is registered.",
    "source-deleted": "The source is deleted. Runs that used it keep their evidence.",
    "upload-saved": "The file is uploaded and registered as a source.",
    "recipe-saved": "The recipe is saved.",
    "recipe-deleted": "The recipe is deleted. Its runs stay, with the recipe as it was then.",
    "conversation-deleted": "The conversation is deleted. Its recipe and runs stay.",
    "run-cancelled": "The run is cancelled.",
}


def current() -> str:
    """The sentence that the URL asks for; "" for none."""
    return _SENTENCES.get(request.args.get("done", ""), "")
