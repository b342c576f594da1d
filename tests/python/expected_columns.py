"""What the columns of a table must hold, given what the official reader of a log returned for a message.

The rules are those of the layout: a struct becomes dotted leaves, a list of structs becomes parallel lists, a time
becomes nanoseconds.
"""
import base64
import datetime
import hashlib
import math
import re
import struct

# How ROS 2, ROS 1 and Foxglove spell a time.
TIMES = ({"sec", "nanosec"}, {"secs", "nsecs"}, {"sec", "nsec"})

# Raw pictures are stored RGB-ordered and without row padding, so these columns say what is stored, not what was sent.
PIXELS = {"data", "encoding", "step", "is_bigendian"}
RAW_IMAGES = {"sensor_msgs/msg/Image", "sensor_msgs/Image", "foxglove.RawImage"}


def leaves(value, name=""):
    """The columns of one decoded message, by dotted name. An empty list of structs names no columns."""
    if isinstance(value, dict) and set(value) in TIMES:
        seconds, nanoseconds = value.values()
        return {name: seconds * 10**9 + nanoseconds}
    if isinstance(value, dict) and set(value) == {"len", "sha256"}:
        return {name: value}
    if isinstance(value, dict):
        found = {}
        for key, inner in value.items():
            found |= leaves(inner, f"{name}.{key}" if name else key)
        return found
    if isinstance(value, list) and value and all(isinstance(item, dict) for item in value):
        items = [leaves(item, name) for item in value]
        names = list(dict.fromkeys(key for item in items for key in item))
        return {key: [item.get(key) for item in items] for key in names}
    return {name: value}


def expected(topic):
    """The first and the last row of a topic as columns; `None` where the official reader failed or had no decoder."""
    rows = []
    for message in (topic["first"], topic["last"]):
        decoded = message.get("decoded")
        if "decode_error" in message or not isinstance(decoded, dict):
            rows.append(None)
            continue
        columns = leaves(decoded.get("_protobuf", decoded))
        if topic["schema_name"] in RAW_IMAGES:
            columns = {name: value for name, value in columns.items() if name not in PIXELS}
        rows.append(columns)
    return rows


def same(found, wanted, constants=None):
    """Whether a value read from a table is the one the official reader saw."""
    if isinstance(found, dict) and set(found) == {"bytes", "path"}:
        found = found["bytes"]
    if found is None or wanted is None:
        return found is wanted
    if isinstance(wanted, dict) and set(wanted) == {"len", "sha256"}:
        data = bytes(found)
        return len(data) == wanted["len"] and hashlib.sha256(data).hexdigest() == wanted["sha256"]
    if isinstance(found, (bytes, bytearray, memoryview)):
        wanted = base64.b64decode(wanted) if isinstance(wanted, str) else bytes(wanted)
        return bytes(found) == wanted
    if isinstance(wanted, list):
        found = list(found)
        return len(found) == len(wanted) and all(map(lambda pair: same(*pair, constants), zip(found, wanted)))
    if isinstance(found, bool) or isinstance(wanted, bool):
        return found is wanted
    if isinstance(wanted, str) and isinstance(found, (int, float)):
        return same_number_as_text(found, wanted, constants or {})
    if isinstance(found, float) and isinstance(wanted, (int, float)):
        return same_float(found, float(wanted))
    return found == wanted


def same_number_as_text(found, wanted, constants):
    """Protobuf's JSON spells 64-bit integers, times, spans, enumeration constants and odd floats as text."""
    if isinstance(found, float):
        return same_float(found, float(wanted))
    if wanted in constants:
        return found == constants[wanted]
    if re.fullmatch(r"-?\d+", wanted):
        return found == int(wanted)
    span = re.fullmatch(r"(-?)(\d+)(?:\.(\d{1,9}))?s", wanted)
    if span:
        sign, seconds, fraction = span.groups()
        n = int(seconds) * 10**9 + int((fraction or "").ljust(9, "0"))
        return found == (-n if sign else n)
    time = re.fullmatch(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?Z", wanted)
    if time:
        second, fraction = time.groups()
        moment = datetime.datetime.fromisoformat(second).replace(tzinfo=datetime.timezone.utc)
        return found == int(moment.timestamp()) * 10**9 + int((fraction or "").ljust(9, "0"))
    return False


def same_float(found, wanted):
    """Equal to the last bit, or equal as float32: protobuf's JSON spells a float32 with its shortest digits."""
    if math.isnan(found) or math.isnan(wanted):
        return math.isnan(found) and math.isnan(wanted)
    if found == wanted:
        return math.copysign(1, found) == math.copysign(1, wanted)
    if math.isinf(found) or math.isinf(wanted) or abs(wanted) > 3e38:
        return False
    return struct.unpack("<f", struct.pack("<f", wanted))[0] == found
