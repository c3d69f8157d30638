"""A flame graph: who was on the processors, and on whose behalf. Stacks grow upwards from their process; a box is as wide as its
share of all processors' time, and above it stands what it called."""
from xml.sax.saxutils import escape, quoteattr

WIDTH, ROW, HEAD, LEFT = 1200, 17, 56, 10
LETTER = 6.1  # px, of the font below
NARROWEST = 1.2  # px; narrower boxes are not drawn
KERNEL, OTHER = "#c9ccd3", "#e4e2da"
COLOURS = ("#f2b26b", "#8fc3a3", "#e58a7b", "#b9a5d6")  # of a process' own code, in the order of the processes


class Box:
    def __init__(self, name, kernel):
        self.name, self.kernel = name, kernel
        self.weight = 0
        self.above = {}

    def add(self, frames):
        self.weight += 1
        if frames:
            self.above.setdefault(frames[0], Box(*frames[0])).add(frames[1:])

    def depth(self, least):
        return 1 + max((box.depth(least) for box in self.above.values() if box.weight >= least), default=0)


def _boxes(box, x, level, scale, colour, out):
    out.append((box, x, level, box.weight * scale, KERNEL if box.kernel else colour))
    for child in sorted(box.above.values(), key=lambda one: -one.weight):
        if child.weight * scale >= NARROWEST:
            _boxes(child, x, level + 1, scale, colour, out)
        x += child.weight * scale


def picture(samples, total, processes, title):
    """samples: (process, frames from the outermost, each (name, is of the kernel)); total: as many as all processors would have
    had; processes: in the order of drawing. What is in none of them is left blank."""
    roots = {name: Box(name, False) for name in processes}
    for process, frames in samples:
        if process in roots:
            roots[process].add(frames)
    scale = (WIDTH - 2 * LEFT) / max(1, total)
    boxes, x = [], LEFT
    for number, root in enumerate(roots.values()):
        _boxes(root, x, 0, scale, COLOURS[number] if number < len(COLOURS) else OTHER, boxes)
        x += root.weight * scale
    height = HEAD + ROW * (1 + max(level for _, _, level, _, _ in boxes)) + LEFT
    parts = []
    for box, x, level, width, colour in boxes:
        y = height - LEFT - ROW * (level + 1)
        share = f"{box.name}: {100 * box.weight / total:.1f} % of all processors"
        parts.append(
            f"<g><title>{escape(share)}</title>"
            f'<rect x="{x:.1f}" y="{y}" width="{max(0.3, width - 0.4):.1f}" height="{ROW - 1}" fill={quoteattr(colour)}/>'
        )
        letters = int((width - 4) / LETTER)
        if letters >= 4:
            words = box.name if len(box.name) <= letters else box.name[: letters - 1] + "…"
            parts.append(f'<text x="{x + 3:.1f}" y="{y + 12}">{escape(words)}</text>')
        parts.append("</g>")
    key = f"grey: the kernel; blank: idle, and other processes. {len(samples):,} samples"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}"'
        ' font-family="sans-serif" font-size="11" fill="#222222">\n'
        f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>\n'
        f'<text x="{LEFT}" y="22" font-size="16" font-weight="bold">{escape(title)}</text>\n'
        f'<text x="{LEFT}" y="41">{escape(key)}</text>\n' + "\n".join(parts) + "\n</svg>\n"
    )
