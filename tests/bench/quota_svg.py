"""The picture: a strip for each mode, over the time of the run. Above its line what the provider counted in each second and the
mean over the window that ends there, against what the quota comes to and what of it there was to be had; below it, downwards,
the calls that it refused."""
from xml.sax.saxutils import escape

LEFT, RIGHT, TOP, BOTTOM = 70, 24, 96, 34
WIDTH = 960
ABOVE, BELOW, GAP = 84, 30, 32  # of a strip: tokens; 429s, where there are any; the title of the next
EACH, MEAN, REFUSED, QUOTA, INK, FAINT = "#a9c9e8", "#1f5f9e", "#d43d2a", "#222222", "#333333", "#f1f1ee"
COULD = "#e08a1e"


def short(n):
    for size, letter in ((1_000_000, "M"), (1000, "k")):
        if n >= size:
            return f"{n / size:.3g}{letter}"
    return f"{n:.3g}"


class Picture:
    def __init__(self, results, plan):
        self.results = results
        self.plan = plan
        self.quota = plan.tpm / plan.window
        self.seconds = max([int(plan.seconds)] + [len(result.per_second) for result in results])
        highest = max([self.quota] + [n for result in results for n in result.per_second])
        self.most = min(1.05 * highest, 4 * self.quota)
        self.most_refused = max([1] + [n for result in results for n in result.refused_per_second])
        self.height = TOP + sum(self.height_of(result) for result in results) - GAP + BOTTOM
        self.parts = []

    @staticmethod
    def height_of(result):
        return ABOVE + GAP + (BELOW if result.provider_429s else 0)

    def x(self, second):
        return LEFT + (WIDTH - LEFT - RIGHT) * second / self.seconds

    def text(self, x, y, words, **more):
        attributes = "".join(f' {name.replace("_", "-")}="{value}"' for name, value in more.items())
        self.parts.append(f'<text x="{x:.1f}" y="{y:.1f}"{attributes}>{escape(words)}</text>')

    def line(self, x1, y1, x2, y2, colour, **more):
        attributes = "".join(f' {name.replace("_", "-")}="{value}"' for name, value in more.items())
        self.parts.append(f'<path d="M{x1:.1f} {y1:.1f}L{x2:.1f} {y2:.1f}" stroke="{colour}" fill="none"{attributes}/>')

    def steps(self, values, zero, scale, colour):
        """A filled outline, one step a second, up from `zero` where scale is above 0, else down."""
        path = [f"M{self.x(0):.1f} {zero:.1f}"]
        for second, value in enumerate(values):
            path.append(f"V{zero - value * scale:.1f}H{self.x(second + 1):.1f}")
        path.append(f"V{zero:.1f}Z")
        self.parts.append(f'<path d="{"".join(path)}" fill="{colour}"/>')

    def means(self, values, zero, scale):
        window = round(self.plan.window)
        points = []
        for second in range(window, min(len(values), int(self.plan.seconds)) + 1):
            mean = sum(values[second - window : second]) / window
            points.append(f"{self.x(second):.1f} {zero - mean * scale:.1f}")
        if points:
            self.parts.append(f'<path d="M{"L".join(points)}" stroke="{MEAN}" stroke-width="2" fill="none"/>')

    def could(self, result, zero, scale):
        """What there was to be had in the window that ends there; drawn wider than the mean, which covers it where they meet."""
        window = round(self.plan.window)
        points = [f"{self.x(one.begin + window):.1f} {zero - one.could / window * scale:.1f}" for one in result.steady]
        if points:
            self.parts.append(f'<path d="M{"L".join(points)}" stroke="{COULD}" stroke-width="5" stroke-opacity=".6" fill="none"/>')

    def head(self):
        plan = self.plan
        self.text(LEFT, 26, "Tokens per second against the provider's quota", font_size="17", font_weight="bold")
        self.text(
            LEFT, 46, f"{plan.rows:,} requests, {plan.load:g} times as much as the quota allows in windows of {plan.window:g} s"
        )
        x = LEFT
        for colour, words, step in (
            (EACH, "tokens counted in each second", 220),
            (MEAN, "mean of the last window", 182),
            (COULD, "what there was to be had", 186),
            (REFUSED, "refused (429), downwards", 184),
        ):
            self.parts.append(f'<rect x="{x}" y="58" width="12" height="9" fill="{colour}"/>')
            self.text(x + 17, 67, words)
            x += step
        self.line(x, 63, x + 22, 63, QUOTA, stroke_dasharray="5 3")
        self.text(x + 28, 67, "the quota")

    def strip(self, result, top):
        zero = top + ABOVE
        scale = ABOVE / self.most
        end = self.x(self.seconds)
        warm = self.x(self.plan.warm)
        self.parts.append(f'<rect x="{LEFT}" y="{top}" width="{warm - LEFT:.1f}" height="{ABOVE}" fill="{FAINT}"/>')
        self.text(LEFT + 4, top + 12, "warm-up", fill="#8a8a85")
        self.steps([min(n, self.most) for n in result.per_second], zero, scale, EACH)
        self.steps(result.refused_per_second, zero, -BELOW / self.most_refused, REFUSED)
        self.could(result, zero, scale)
        self.means(result.per_second, zero, scale)
        quota = zero - self.quota * scale
        self.line(LEFT, quota, end, quota, QUOTA, stroke_dasharray="5 3")
        self.line(LEFT, zero, end, zero, INK)
        self.text(LEFT - 6, quota + 4, short(self.quota), text_anchor="end")
        self.text(LEFT - 6, zero + 4, "0", text_anchor="end")
        if result.provider_429s:
            self.text(LEFT - 6, zero + BELOW + 4, f"{self.most_refused} 429/s", text_anchor="end", fill=REFUSED)
        self.text(LEFT, top - 6, result.mode.title, font_weight="bold")
        used = f"{result.quota_used * 100:.1f} % of the quota used"
        if result.could_be_had < 0.9995:
            both = f"{result.share_of_quota * 100:.1f} of {result.could_be_had * 100:.1f} %"
            used = f"{result.quota_used * 100:.1f} % quota used ({both})"
        verdict = f"{used}, {result.provider_429s:,} refused"
        self.text(end, top - 6, verdict, text_anchor="end", fill=REFUSED if result.provider_429s else INK)

    def axis(self, y):
        step = next((n for n in (5, 10, 20, 30, 60, 120, 300, 600) if self.seconds / n <= 14), 1800)
        for second in range(0, self.seconds + 1, step):
            self.text(self.x(second), y, f"{second} s", text_anchor="middle")

    def draw(self):
        self.head()
        top = TOP
        for result in self.results:
            self.strip(result, top)
            top += self.height_of(result)
        self.axis(self.height - 10)
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {self.height}" width="{WIDTH}" height="{self.height}"'
            f' font-family="sans-serif" font-size="12" fill="{INK}">\n'
            f'<rect width="{WIDTH}" height="{self.height}" fill="#ffffff"/>\n' + "\n".join(self.parts) + "\n</svg>\n"
        )


def picture(results, plan):
    return Picture(results, plan).draw()
