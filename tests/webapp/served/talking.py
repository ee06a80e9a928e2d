"""How a person talks with Kalla in a browser: the steps that the tests of the conversation share."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from playwright.sync_api import Locator, Page, expect

SECONDS = 90_000  # of a wait, in milliseconds: this machine may be busy
expect.set_options(timeout=SECONDS)
_COUNT = "addEventListener('pointerdown', () => localStorage.setItem('clicks', Number(localStorage.getItem('clicks')) + 1), true)"


@dataclass
class Talk:
    """A conversation on a page."""

    page: Page

    def begin(self, *files: Path, words: str = "") -> None:
        """Open a new one and send files, chosen by the button."""
        self.page.goto("/reconcile")
        if files:
            with self.page.expect_file_chooser() as chooser:
                self.page.locator("main label.primary", has_text="Choose files").click()
            chooser.value.set_files(files)
            expect(self.page.locator("[data-attachments] li")).to_have_count(len(files))
        self.say(words)

    def say(self, words: str = "") -> None:
        if words:
            self.page.locator("#message").fill(words)
        self.page.get_by_role("button", name="Send").click()

    def waits(self, kind: str) -> Locator:
        """The open card of a type, once no turn is under way."""
        expect(self.page.locator("[data-pending] li")).to_have_count(0, timeout=SECONDS)
        found = self.page.locator(f"[data-open-card][data-card-type={kind}]")
        expect(found).to_be_visible(timeout=SECONDS)
        return found

    def judge(self, number: int, button: str = "Yes") -> None:
        """Answer the pair of that number."""
        card = self.waits("match_proposal")
        expect(card).to_contain_text(f"Pair {number}")
        card.get_by_role("button", name=re.compile(f"^{button}")).click()

    def loosen(self, steps: int = 1) -> str:
        """Move the slider of the rule card to the right and take that tolerance; its words."""
        card = self.waits("rule_summary")
        slider = card.get_by_role("slider")
        slider.focus()
        for _ in range(steps):
            self.page.keyboard.press("ArrowRight")
        words = card.locator("output").inner_text()
        card.get_by_role("button", name=re.compile("^Use ")).click()
        expect(self.page.locator(".past", has_text="Change the rule")).to_have_count(1, timeout=SECONDS)
        return words

    def approve(self, kind: str) -> None:
        self.waits(kind).get_by_role("button", name=re.compile("^Approve")).click()

    def result(self) -> Locator:
        """The final result, once the run has ended."""
        found = self.page.locator("article[id^=result-]")
        expect(found).to_be_visible(timeout=SECONDS)
        expect(self.page.locator("#transcript")).to_have_attribute("data-turn", "idle", timeout=SECONDS)
        return found

    def count_clicks(self) -> None:
        self.page.context.add_init_script(_COUNT)

    @property
    def clicks(self) -> int:
        return int(self.page.evaluate("Number(localStorage.getItem('clicks'))"))

    def no_sql(self) -> None:
        """Nobody sees SQL who did not unfold it."""
        assert not re.search(r"\b(SELECT|JOIN|left_src)\b", self.page.locator("main").inner_text())

    def shoot(self, name: str, whole: bool = False) -> None:
        """A picture of what is seen, where KALLA_SHOTS names a folder for them."""
        if os.environ.get("KALLA_SHOTS"):
            self.page.screenshot(path=Path(os.environ["KALLA_SHOTS"]) / f"{name}.png", full_page=whole)
