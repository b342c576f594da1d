/// The type of a message of `ffmpeg_image_transport`.
pub const FFMPEG_PACKET: &str = "ffmpeg_image_transport_msgs/msg/FFMPEGPacket";

/// Its definition, as recordings of ROS 2 have it (`ros2msg`).
pub const FFMPEG_PACKET_DEFINITION: &str = "\
std_msgs/Header header
int32 width
int32 height
string encoding
uint64 pts
uint8 flags
bool is_bigendian
uint8[] data
================================================================================
MSG: std_msgs/Header
builtin_interfaces/Time stamp
string frame_id
================================================================================
MSG: builtin_interfaces/Time
int32 sec
uint32 nanosec
";

/// A packet as its topic holds it, in CDR: a sample of a video of 64 × 48, what it says it is coded as, and flags that say what they like.
pub fn ffmpeg_packet(stamp_ns: i64, encoding: &str, flags: u8, sample: &[u8]) -> Vec<u8> {
    let (sec, nanosec) = (stamp_ns.div_euclid(1_000_000_000), stamp_ns.rem_euclid(1_000_000_000));
    let mut cdr = Cdr(Vec::new());
    cdr.value(i32::try_from(sec).expect("a time of ROS").to_le_bytes());
    cdr.value(u32::try_from(nanosec).expect("less than a second").to_le_bytes());
    cdr.text("cam");
    cdr.value(64i32.to_le_bytes());
    cdr.value(48i32.to_le_bytes());
    cdr.text(encoding);
    cdr.value(stamp_ns.cast_unsigned().to_le_bytes());
    cdr.value([flags]);
    cdr.value([0]);
    cdr.bytes(sample);
    // Little-endian, plain.
    [&[0, 1, 0, 0], cdr.0.as_slice()].concat()
}

/// What stands behind the head of CDR: from there values lie at multiples of their own size.
struct Cdr(Vec<u8>);

impl Cdr {
    fn value<const N: usize>(&mut self, bytes: [u8; N]) {
        self.0.resize(self.0.len().next_multiple_of(N), 0);
        self.0.extend(bytes);
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.value(u32::try_from(bytes.len()).expect("a message fits memory").to_le_bytes());
        self.0.extend(bytes);
    }

    fn text(&mut self, text: &str) {
        self.bytes(&[text.as_bytes(), &[0]].concat());
    }
}
