"""A page of Markdown with a list of what was promised and what is."""


class Page:
    """Collects text; `verdicts` are (what, measured, bound, met)."""

    def __init__(self):
        self.parts = []
        self.verdicts = []

    def heading(self, text):
        self.parts.append(f"## {text}")

    def text(self, text):
        self.parts.append(_wrap(text))

    def table(self, header, rows):
        lines = [header, ["---"] * len(header), *rows]
        self.parts.append("\n".join(
            "| " + " | ".join(map(str, line)) + " |" for line in lines))

    def verdict(self, what, measured, bound, form, at_least=False):
        """A figure that is promised to be at most (at least) `bound`."""
        met = measured >= bound if at_least else measured <= bound
        sign = "≥" if at_least else "≤"
        self.verdicts.append((what, form.format(measured),
                              f"{sign} {form.format(bound)}",
                              "yes" if met else "**no**"))

    def verdict_table(self):
        lines = [("promise", "measured", "bound", "kept"), ("---",) * 4,
                 *self.verdicts]
        return "\n".join("| " + " | ".join(line) + " |" for line in lines)

    def render(self, title, introduction):
        return "\n\n".join([f"# {title}", introduction, "## Promises",
                            self.verdict_table(), *self.parts]) + "\n"


def _wrap(text, width=80):
    lines, line = [], ""
    for word in text.split():
        if line and len(line) + 1 + len(word) > width:
            lines.append(line)
            line = word
        else:
            line = f"{line} {word}" if line else word
    return "\n".join([*lines, line])
