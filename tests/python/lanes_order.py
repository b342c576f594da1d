"""The order `lanes/1` once more, as docs/reference/lanes-1.md writes it down: slow, and made for whole epochs."""
import bisect
import struct

from blake3 import blake3

MASK = (1 << 64) - 1
PERIOD = 1024


def mix(word):
    """The finaliser of MurmurHash3."""
    word ^= word >> 33
    word = word * 0xFF51AFD7ED558CCD & MASK
    word ^= word >> 33
    word = word * 0xC4CEB9FE1A85EC53 & MASK
    return word ^ (word >> 33)


def keys(*words):
    """Eight round keys."""
    hasher = blake3(struct.pack(f"<{len(words)}Q", *words), derive_key_context="nodedata lanes/1")
    return struct.unpack("<8Q", hasher.digest(length=64))


def permute(rounds, count, at):
    """A bijection of `0..count`."""
    if count == 1:
        return 0
    half = ((count - 1).bit_length() + 1) // 2
    mask = (1 << half) - 1
    while True:
        left, right = at >> half, at & mask
        for key in rounds:
            left, right = right, left ^ (mix(right ^ key) & mask)
        at = left << half | right
        if at < count:
            return at


def blocks(lengths, block):
    """Runs of samples that cross no episode."""
    return [min(block, length - at) for length in lengths for at in range(0, length, block)]


def order(sizes, seed, epoch, lanes, window):
    """The sample at every place of an epoch; `sizes` are those of the blocks."""
    starts = [0]
    for size in sizes:
        starts.append(starts[-1] + size)
    count = starts[-1]
    rounds = keys(seed, epoch, 1)
    shuffled = [permute(rounds, len(sizes), at) for at in range(len(sizes))]
    line = [sample for block in shuffled for sample in range(starts[block], starts[block + 1])]
    each, more = divmod(count, lanes)
    found = []
    for place in range(count):
        lane, at = place % lanes, place // lanes
        length = each + (lane < more)
        of_window, inside = divmod(at, window)
        size = min(window, length - of_window * window)
        inside = permute(keys(seed, epoch, 2, lane, of_window), size, inside)
        found.append(line[lane * each + min(lane, more) + of_window * window + inside])
    return found


def shares(weights):
    """Places of a period for each source, by largest remainder."""
    total = sum(weights)
    found = [weight * PERIOD // total for weight in weights]
    rest = sorted(range(len(weights)), key=lambda it: (-(weights[it] * PERIOD % total), it))
    for source in rest[: PERIOD - sum(found)]:
        found[source] += 1
    return found


def mixture(weights, seed):
    """Which source each place draws from."""
    slots = [source for source, count in enumerate(shares(weights)) for _ in range(count)]
    return lambda place: slots[permute(keys(seed, place // PERIOD, 3), PERIOD, place % PERIOD)]


def located(lengths, sample):
    """Episode and step of a sample."""
    ends = []
    for length in lengths:
        ends.append((ends[-1] if ends else 0) + length)
    episode = bisect.bisect_right(ends, sample)
    return episode, sample - (ends[episode] - lengths[episode])


def digest(places):
    """The BLAKE3 of places, eight bytes each."""
    return blake3(struct.pack(f"<{len(places)}Q", *places)).hexdigest()
