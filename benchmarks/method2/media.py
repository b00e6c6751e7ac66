"""Makes the media that are measured: JPEG pages as a scanner saves them, and PDFs of ten of them (`media.py ROOT MB`).

The reference site's own pages are small and coarse (quality 40), and gain an eighth by deflate; real scans gain two per
cent at most. Here they are saved at quality 75, the usual one. A page stands in one PDF and beside it, as in Korrigo.
"""

import io
import random
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "demo"))

from reportlab import rl_config
from reportlab.lib.utils import ImageReader
from reportlab.pdfgen.canvas import Canvas

from exams.seeding import scans

QUALITY, PAGES_OF_A_PDF, PAGES_DRAWN = 75, 10, 400


def main(root: Path, megabytes: int) -> None:
    """Write copies until the tree has the size that was asked for; pages are drawn once and then dealt at random."""
    rl_config.useA85 = 0  # binary streams: the PDF holds the JPEG bytes as they are, as a scanner writes it
    rng, drawn = random.Random("bench"), []
    for number in range(min(PAGES_DRAWN, megabytes * 4)):
        out = io.BytesIO()
        scans.draw_page(random.Random(number), str(number), colour=number % 10 == 0).save(out, "JPEG", quality=QUALITY)
        drawn.append(out.getvalue())
    size, copy = 0, 0
    while size < megabytes * 1_000_000:
        pages = rng.sample(drawn, PAGES_OF_A_PDF)
        folder = root / "booklets" / str(copy)
        folder.mkdir(parents=True)
        (root / "copies").mkdir(exist_ok=True)
        canvas = Canvas(str(root / "copies" / f"{copy}.pdf"), pageCompression=0, invariant=1)
        for number, page in enumerate(pages):
            (folder / f"page_{number}.jpg").write_bytes(page)
            canvas.drawImage(ImageReader(io.BytesIO(page)), 0, 0, 595, 842)
            canvas.showPage()
        canvas.save()
        size += sum(map(len, pages)) + (root / "copies" / f"{copy}.pdf").stat().st_size
        copy += 1


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
