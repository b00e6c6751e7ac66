"""Draws the scanned pages and their PDF; runs in worker processes and never sees the database."""

import functools
import os
import random
from pathlib import Path

from PIL import Image, ImageDraw
from reportlab import rl_config
from reportlab.lib.pagesizes import A4
from reportlab.pdfgen.canvas import Canvas

from exams.seeding.plan import Paper

WIDTH, HEIGHT = 620, 877  # an A4 page at 75 dots per inch
RULE_SPACING = 27
TOP, MARGIN = 70, 84
GRAIN = 0.045  # share of random noise in a page: what makes a scan hard to compress
QUALITY = 40  # of the JPEG; with the grain above, 50 to 60 KB a page


def enter(media_root: str) -> None:
    """Prepare a worker process: names inside a PDF are relative, whatever the place of the tree."""
    os.chdir(media_root)
    rl_config.useA85 = 0  # binary streams: the PDF holds the JPEG bytes as they are


def scan(paper: Paper) -> tuple[int, int]:
    """Write the page images and the PDF of a copy; return how many files and bytes that makes."""
    images = [Path(paper.page(page)) for page in range(1, paper.size.pages + 1)]
    images[0].parent.mkdir(parents=True, exist_ok=True)
    for number, image in enumerate(images, start=1):
        title = f"{paper.id} {number}/{len(images)}"
        page = draw_page(paper.stream("page", number), title, colour=number == 1)
        page.save(image, "JPEG", quality=QUALITY)
    pdf = Path(paper.pdf)
    pdf.parent.mkdir(parents=True, exist_ok=True)
    bind(images, pdf, title=str(paper.id))
    return len(images) + 1, sum(file.stat().st_size for file in (*images, pdf))


def draw_page(rng: random.Random, title: str, *, colour: bool) -> Image.Image:
    """Return a page of handwriting; a colour page has red ink on it."""
    page = ruled_page().copy()
    draw = ImageDraw.Draw(page)
    draw.text((MARGIN + 8, 24), title, fill=60)
    for line in range(TOP, HEIGHT - 60, RULE_SPACING):
        write_line(draw, rng, line, end=rng.randrange(WIDTH // 2, WIDTH - 30))
    start = rng.randrange(WIDTH * HEIGHT)
    grain = Image.frombytes("L", page.size, noise()[start : start + WIDTH * HEIGHT])
    page = Image.blend(page, grain, GRAIN)
    if colour:
        page = page.convert("RGB")
        x, y = rng.randrange(MARGIN, WIDTH - 160), rng.randrange(TOP, HEIGHT - 120)
        ImageDraw.Draw(page).ellipse((x, y, x + 120, y + 60), outline=(190, 20, 30), width=3)
    return page


@functools.cache
def ruled_page() -> Image.Image:
    """Return an empty exam sheet: ruled lines and a margin."""
    page = Image.new("L", (WIDTH, HEIGHT), 244)
    draw = ImageDraw.Draw(page)
    for y in range(TOP, HEIGHT - 40, RULE_SPACING):
        draw.line((0, y, WIDTH, y), fill=205)
    draw.line((MARGIN - 6, 0, MARGIN - 6, HEIGHT), fill=170, width=2)
    return page


@functools.cache
def noise() -> bytes:
    """Return two pages of random grain: each page takes its own from another place of it."""
    return random.Random("grain").randbytes(2 * WIDTH * HEIGHT)


def write_line(draw: ImageDraw.ImageDraw, rng: random.Random, y: int, *, end: int) -> None:
    """Draw one line of words as strokes of a pen, up to the column `end`."""
    x = MARGIN
    while x < end:
        heights = rng.randbytes(5 + int(11 * rng.random()))
        draw.line([(x + 5 * n, y - height % 11) for n, height in enumerate(heights)], fill=50, width=2)
        x += 5 * len(heights) + 12


def bind(images: list[Path], pdf: Path, *, title: str) -> None:
    """Write a PDF of these images, one a page, without date or random identifier."""
    canvas = Canvas(str(pdf), pagesize=A4, pageCompression=0, invariant=1)
    canvas.setTitle(title)
    for image in images:
        canvas.drawImage(str(image), 0, 0, *A4)
        canvas.showPage()
    canvas.save()
