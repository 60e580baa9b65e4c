"""What it is worth to convolve an image rather than to cut it into windows and map these, as measured.

Forward and backward, one thread of a CPU, batch 16: 506 combinations of 3 to 256 channels, 16 to 2048 new ones, images
of 2 x 2 to 32 x 32 and k = 2 or 3 with s = 1 or 2. A convolution took 5 to 6 ns less for each number of each example's
windows, and more for what it puts into another order: 3 ns for a number of the image, 2 ns for a number of the weight
(once for the batch), and 0.15 to 0.2 ms for the call. The rule is these in proportion, rounded. New channels that come
before the positions where a sequence is read took as much as the image.

On 466 shapes that the fit had not seen, most of them near the edge (k up to 5, s up to 3, nine readers), what the rule
takes was 1.27 times as fast in the geometric mean, and what it leaves 0.87. The cost of a call was then moved from 4000
to 5000 numbers after these, and the rest left as it was.
"""

from __future__ import annotations

EXAMPLES = 16
"""In a batch, rather few: with more the weight and the call weigh less."""

CALL = 5000
"""Numbers of an image that could be put into another order in the time that the call of a convolution takes more."""


def is_worth_convolving(windows: int, image: int, weight: int, loose: int = 0) -> bool:
    """How many numbers are moved either way: windows are cut and put together again, all else is moved once.

    `windows`, `image` and `weight`: numbers in each; `loose`: in what is read behind as a sequence.
    """
    return 2 * windows > image + loose + weight / EXAMPLES + CALL
