"""Every source, and what must come of it."""

from tests.gpu_worker.sources import containers, pictures, refused, sounds

SOURCES = (
    *pictures.SHAPES,
    *pictures.RATES,
    *pictures.DEPTHS,
    *pictures.COLOURS,
    *containers.CODECS,
    *containers.TIMES,
    *containers.EXTRAS,
    *containers.REAL,
    *sounds.BESIDE_A_PICTURE,
    *sounds.ALONE,
    *refused.REFUSED,
)
