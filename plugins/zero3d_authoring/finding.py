"""One line of the doctor's report."""

from __future__ import annotations

from dataclasses import dataclass

OK, NOTE, FAIL = "ok", "note", "FAIL"


@dataclass(frozen=True)
class Finding:
    """`state`: OK, NOTE (works without) or FAIL; `subject`, what was `found`, and the `remedy` if there is one."""

    state: str
    subject: str
    found: str
    remedy: str = ""

    def __str__(self) -> str:
        line = f"{self.state:<4}  {self.subject}: {self.found}"
        return f"{line}\n      -> {self.remedy}" if self.remedy else line
