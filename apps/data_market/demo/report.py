"""
The story as one page: no script, no file beside it, nothing from the network.

A page for the machine's owner, who sees every part; what each party would see is a table of its
own. Names come from files, so every text is escaped.
"""

from collections.abc import Sequence
from html import escape

from apps.data_market.demo.page import Card, Page
from apps.data_market.gate.release import ReleaseLimit

STYLE = """
:root { color-scheme: light dark; --ink: #1d2a2f; --dim: #5c6b70; --line: #d8dfe0; --back: #fbfaf7;
  --fill: #0f766e; --warn: #9a3412; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6ecec; --dim: #9db0b3; --line: #33434a;
  --back: #12191c; --fill: #2dd4bf; --warn: #fdba74; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 60rem; padding: 2rem 1.25rem 4rem; background: var(--back);
  color: var(--ink); font: 16px/1.55 system-ui, sans-serif; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0 0 .5rem; }
h2 { font-size: 1.15rem; margin: 2.5rem 0 .75rem; }
p { max-width: 44rem; }
.note { border-left: 3px solid var(--warn); padding: .1rem 0 .1rem .9rem; color: var(--warn); }
.facts { display: grid; grid-template-columns: repeat(auto-fit, minmax(9rem, 1fr)); gap: 1rem;
  margin: 1.5rem 0; padding: 0; list-style: none; }
.facts b { display: block; font-size: 1.5rem; font-variant-numeric: tabular-nums; }
.facts span, .dim { color: var(--dim); font-size: .875rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: .35rem .75rem .35rem 0; border-bottom: 1px solid var(--line);
  vertical-align: top; }
th { color: var(--dim); font-size: .8rem; font-weight: 600; }
td.number, th.number { text-align: right; white-space: nowrap; }
td.bar { width: 35%; min-width: 8rem; }
svg { display: block; width: 100%; height: auto; }
svg text { fill: var(--dim); font: 12px system-ui, sans-serif; }
svg .grid { stroke: var(--line); }
svg .curve { fill: none; stroke: var(--fill); stroke-width: 2; }
svg .dot, svg .fill { fill: var(--fill); }
svg .value { fill: var(--ink); font-weight: 600; }
code { font-size: .85em; overflow-wrap: anywhere; }
"""

LIMIT = ReleaseLimit()


def render_report(page: Page) -> str:
    """The page, as HTML."""
    facts = [
        (_tokens(page.pot_wei), "pot, shared to the wei"),
        (f"{page.card['accuracy']:.3f}", f"accuracy on {page.validation_rows} rows"),
        (f"{page.card['eps']:g}", "eps of the paid model"),
        (f"{page.card['attack_auc']:.2f}", "attack AUC; 0.50 is guessing"),
    ]
    shown = "".join(f"<li><b>{value}</b><span>{what}</span></li>" for value, what in facts)
    hashes = [[escape(what), f"<code>{escape(hash_)}</code>"] for what, hash_ in page.hashes]
    parts = [
        "<h1>A data market in one run</h1>",
        f"<p class='note'>{escape(page.note)}</p>",
        f"<ul class='facts'>{shown}</ul>",
        "<h2>Pay by contributor</h2>",
        _pay(page),
        "<h2>Accuracy against epsilon</h2>",
        _curve(page.cards),
        "<h2>Attack on each model</h2>",
        _attacks(page.cards),
        *(["<h2>Privacy budget left</h2>", _budgets(page)] if page.budgets else []),
        "<h2>What each party sees</h2>",
        _parties(page),
        "<h2>What the job can be checked by</h2>",
        _table(["what", "hash"], hashes),
    ]
    return (
        "<!doctype html><html lang='en'><head><meta charset='utf-8'>"
        "<meta http-equiv='Content-Security-Policy' "
        "content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        "<meta name='viewport' content='width=device-width, initial-scale=1'>"
        f"<title>Data market: report</title><style>{STYLE}</style></head><body>"
        f"{''.join(parts)}</body></html>\n"
    )


def _pay(page: Page) -> str:
    valuation, paid = page.valuation, page.paid_wei
    most = max(paid.values())
    lines = []
    for at, name in enumerate(valuation.names):
        bar = (
            "<svg viewBox='0 0 100 10' preserveAspectRatio='none' style='height:.8rem' role='img'>"
            f"<rect class='fill' width='{100 * paid[name] / most:.2f}' height='10' rx='1'/></svg>"
        )
        share = f"{100 * paid[name] / page.pot_wei:.2f} %"
        counts = [str(valuation.rows_used[at]), str(valuation.rows_dropped[at])]
        lines.append([escape(name), bar, share, str(paid[name]), *counts])
    lines.append(["together", "", "100 %", str(sum(paid.values())), "", ""])
    heads = ["contributor", "", "#share", "#wei", "#rows used", "#copies"]
    return _table(heads, lines, bars=frozenset({1}))


def _curve(cards: Sequence[Card]) -> str:
    points = [(_number(one, "eps"), _number(one, "accuracy")) for one in cards]
    width, height, left, top, bottom = 640, 240, 48, 16, 204
    most = max(eps for eps, _ in points) * 1.1
    low = min(0.8, *(accuracy for _, accuracy in points))

    def place(eps: float, accuracy: float) -> tuple[float, float]:
        across = left + (width - left - 24) * eps / most
        return across, bottom - (bottom - top) * (accuracy - low) / (1 - low)

    drawn = []
    for level in range(5):
        accuracy = low + (1 - low) * level / 4
        _, y = place(0, accuracy)
        drawn.append(f"<line class='grid' x1='{left}' x2='{width}' y1='{y:.1f}' y2='{y:.1f}'/>")
        drawn.append(
            f"<text x='{left - 8}' y='{y + 4:.1f}' text-anchor='end'>{accuracy:.2f}</text>"
        )
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in (place(*point) for point in points))
    drawn.append(f"<polyline class='curve' points='{path}'/>")
    for eps, accuracy in points:
        x, y = place(eps, accuracy)
        drawn.append(f"<circle class='dot' cx='{x:.1f}' cy='{y:.1f}' r='4'/>")
        drawn.append(
            f"<text class='value' x='{x:.1f}' y='{y - 10:.1f}' text-anchor='middle'>"
            f"{accuracy:.3f}</text>"
        )
        drawn.append(f"<text x='{x:.1f}' y='{bottom + 18}' text-anchor='middle'>{eps:g}</text>")
    drawn.append(f"<text x='{width}' y='{height - 2}' text-anchor='end'>epsilon of a row</text>")
    return (
        f"<svg viewBox='0 0 {width} {height}' role='img' "
        f"aria-label='accuracy against epsilon'>{''.join(drawn)}</svg>"
    )


def _attacks(cards: Sequence[Card]) -> str:
    lines = [
        [
            f"{one['eps']:g}",
            f"{one['attack_auc']:.2f}",
            f"{100 * _number(one, 'attack_hits_at_one_percent'):.0f} %",
            f"{one['noise_multiplier']:.3f}",
            str(one["steps"]),
        ]
        for one in cards
    ]
    told = (
        f"<p class='dim'>Released up to AUC {LIMIT.auc:g} and "
        f"{100 * LIMIT.hits_at_one_percent:g} % found. Delta is {cards[0]['delta']:.2e}.</p>"
    )
    heads = ["#eps", "#attack AUC", "#rows found at 1 % false alarms", "#noise", "#steps"]
    return _table(heads, lines) + told


def _budgets(page: Page) -> str:
    lines = [
        [
            escape(one.name),
            f"{one.allowed_eps:g}",
            f"{one.spent_eps:.3f}",
            f"{one.left_eps:.3f}",
        ]
        for one in page.budgets
    ]
    told = ""
    if page.refused is not None:
        asked, why = page.refused
        told = f"<p>A last job asked for eps {asked:g} and was refused: {escape(why)}.</p>"
    return _table(["dataset of", "#eps allowed", "#spent, composed", "#left"], lines) + told


def _parties(page: Page) -> str:
    lines = [[escape(one.who), escape(one.sees), escape(one.does_not_see)] for one in page.parties]
    return _table(["who", "sees", "does not see"], lines)


def _number(card: Card, name: str) -> float:
    return float(str(card[name]))


def _table(
    heads: Sequence[str], lines: Sequence[Sequence[str]], bars: frozenset[int] = frozenset()
) -> str:
    """Columns whose head begins with # are numbers; cells are HTML."""
    is_number = [head.startswith("#") for head in heads]
    kinds = [
        "bar" if at in bars else "number" if number else "text"
        for at, number in enumerate(is_number)
    ]
    top = "".join(
        f"<th class='{kind}'>{head.removeprefix('#')}</th>"
        for kind, head in zip(kinds, heads, strict=True)
    )
    rows = "".join(
        "<tr>"
        + "".join(f"<td class='{kind}'>{cell}</td>" for kind, cell in zip(kinds, line, strict=True))
        + "</tr>"
        for line in lines
    )
    return f"<div class='wide'><table><tr>{top}</tr>{rows}</table></div>"


def _tokens(wei: int) -> str:
    whole, part = divmod(wei, 10**18)
    return f"{whole}.{part:018}".rstrip("0").rstrip(".")
