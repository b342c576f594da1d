//! What decoding takes of libavcodec and libavutil; all `unsafe` of the crate is here.
//!
//! Signatures and structures are those of the public headers (`avcodec.h`, `packet.h`, `frame.h`, `log.h`, `opt.h`) of FFmpeg 5 to 8.

use std::{
    error::Error,
    ffi::{CStr, CString, OsStr, c_char, c_int, c_uint, c_void},
    io, mem, ptr,
};

use super::{
    super::Chroma,
    pixel_format::layout,
    versions::{FrameFields, Versions},
};

/// `AVCodecContext`, `AVCodec`, and others that are handed on as they are.
type Opaque = c_void;

/// The head of `AVPacket`, the same in all versions.
#[repr(C)]
struct Packet {
    buf: *mut Opaque,
    pts: i64,
    dts: i64,
    data: *mut u8,
    size: c_int,
}

/// The head of `AVFrame`, the same in all versions.
#[repr(C)]
struct Frame {
    data: [*const u8; 8],
    linesize: [c_int; 8],
    extended_data: *const Opaque,
    width: c_int,
    height: c_int,
    nb_samples: c_int,
    format: c_int,
    /// The kind of the picture and its pixels' shape, as many bytes in all versions.
    picture: [c_int; 4],
    pts: i64,
}

/// The head of `AVClass`, the same in all versions.
#[repr(C)]
struct Class {
    class_name: *const c_char,
    item_name: *const Opaque,
    option: *const Opaque,
    version: c_int,
    log_level_offset_offset: c_int,
}

/// A number that no sample has.
const NO_PTS: i64 = i64::MIN;
/// Of `AVFrame::flags`.
const FLAG_CORRUPT: c_int = 1;
/// Of `AVFrame::color_range`.
const RANGE_JPEG: c_int = 2;
/// Added to the level of a message, it is above every level that is printed.
const SILENT: c_int = 64;
/// `ENOMEM`, on Linux and macOS.
const OUT_OF_MEMORY: c_int = 12;

/// Declares functions of the two libraries, and finds them by their names.
macro_rules! functions {
    ($($name:ident($($argument:ty),*) $(-> $result:ty)?;)*) => {
        struct Functions { $($name: unsafe extern "C" fn($($argument),*) $(-> $result)?,)* }

        impl Functions {
            /// Looks them up in a library and in those that it needs.
            ///
            /// # Safety
            /// Functions of these names have these signatures.
            unsafe fn of(library: &libloading::Library) -> Result<Self, libloading::Error> {
                // SAFETY: as the caller says.
                unsafe { Ok(Self { $($name: *library.get(concat!(stringify!($name), "\0").as_bytes())?,)* }) }
            }
        }
    };
}

functions! {
    av_frame_alloc() -> *mut Frame;
    av_frame_free(*mut *mut Frame);
    av_frame_unref(*mut Frame);
    av_get_pix_fmt_name(c_int) -> *const c_char;
    av_new_packet(*mut Packet, c_int) -> c_int;
    av_opt_set(*mut Opaque, *const c_char, *const c_char, c_int) -> c_int;
    av_packet_alloc() -> *mut Packet;
    av_packet_free(*mut *mut Packet);
    av_packet_unref(*mut Packet);
    av_strerror(c_int, *mut c_char, usize) -> c_int;
    avcodec_alloc_context3(*const Opaque) -> *mut Opaque;
    avcodec_find_decoder_by_name(*const c_char) -> *const Opaque;
    avcodec_flush_buffers(*mut Opaque);
    avcodec_free_context(*mut *mut Opaque);
    avcodec_open2(*mut Opaque, *const Opaque, *mut *mut Opaque) -> c_int;
    avcodec_receive_frame(*mut Opaque, *mut Frame) -> c_int;
    avcodec_send_packet(*mut Opaque, *const Packet) -> c_int;
    avcodec_version() -> c_uint;
    avutil_version() -> c_uint;
}

/// Why a library was not loaded.
pub(super) type LoadError = Box<dyn Error + Send + Sync>;

/// Loads a library for those that are loaded later and need it.
pub(super) fn load_needed(name: &OsStr) -> Result<(), LoadError> {
    // SAFETY: as for the library that needs it, see below.
    mem::forget(unsafe { libloading::Library::new(name)? });
    Ok(())
}

/// A libavcodec that was loaded, with its libavutil.
pub(super) struct Library {
    functions: Functions,
    fields: FrameFields,
    version: c_uint,
}

impl Library {
    /// Loads a library, by its path or by a name that the system looks up, and never unloads it.
    pub(super) fn load(name: &OsStr) -> Result<Self, LoadError> {
        // SAFETY: what runs when it is loaded is what FFmpeg, or whom the user named in its place, put there.
        let library = unsafe { libloading::Library::new(name)? };
        // The lookup reaches libavutil, which the library needs, and so never another one than its own.
        // SAFETY: the names are FFmpeg's, and of the versions that are taken these are the signatures; of others only those two are
        // called that tell the version, which have always been the same.
        let functions = unsafe { Functions::of(&library)? };
        // SAFETY: see above; they take nothing.
        let (version, avutil) = unsafe { ((functions.avcodec_version)(), (functions.avutil_version)()) };
        let Some(versions) = Versions::of(version, avutil) else {
            let (avcodec, avutil) = (version >> 16, avutil >> 16);
            return Err(format!("libavcodec {avcodec} with libavutil {avutil} is not known").into());
        };
        mem::forget(library);
        Ok(Self { functions, fields: versions.fields, version })
    }

    /// Major, minor and micro version.
    pub(super) fn version(&self) -> [c_uint; 3] {
        [self.version >> 16, self.version >> 8 & 0xff, self.version & 0xff]
    }

    /// What FFmpeg says of a failure.
    pub(super) fn explanation(&self, failure: Failure) -> String {
        let mut text = [0_u8; 128];
        // SAFETY: at most so many bytes are written, the last of them zero.
        unsafe { (self.functions.av_strerror)(failure.0, text.as_mut_ptr().cast(), text.len()) };
        CStr::from_bytes_until_nul(&text).unwrap_or_default().to_string_lossy().into_owned()
    }
}

/// A negative number that a function gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Failure(c_int);

impl Failure {
    const END: Self = Self::tagged(*b"EOF ");
    const NO_DECODER: Self = Self::tagged(*b"\xf8DEC");
    const NOT_WRITTEN: Self = Self::tagged(*b"PAWE");
    const EXPERIMENTAL: Self = Self(-0x2bb2_afa8);

    const fn tagged(tag: [u8; 4]) -> Self {
        Self(-i32::from_le_bytes(tag))
    }

    fn of(code: c_int) -> Result<(), Self> {
        if code < 0 { Err(Self(code)) } else { Ok(()) }
    }

    /// Failures of the system are its own numbers, negative.
    fn system(self) -> io::ErrorKind {
        io::Error::from_raw_os_error(self.0.saturating_neg()).kind()
    }

    /// Whether only more samples, or none any more, are missing.
    fn is_pause(self) -> bool {
        self == Self::END || self.system() == io::ErrorKind::WouldBlock
    }

    /// Whether FFmpeg cannot decode such video.
    pub(super) fn is_refusal(self) -> bool {
        [Self::NO_DECODER, Self::NOT_WRITTEN, Self::EXPERIMENTAL].contains(&self)
            || self.system() == io::ErrorKind::Unsupported
    }

    /// Whether memory was missing.
    pub(super) fn is_memory(self) -> bool {
        self.system() == io::ErrorKind::OutOfMemory
    }
}

/// A decoder that was opened.
pub(super) struct Session {
    library: &'static Library,
    /// These are null only while a session is opened.
    context: *mut Opaque,
    packet: *mut Packet,
    frame: *mut Frame,
}

// SAFETY: nothing else holds the pointers, and FFmpeg ties none of it to a thread; functions are called with `&mut self` only.
unsafe impl Send for Session {}

impl Session {
    /// Opens the decoder of a name, with options by their names.
    pub(super) fn open(
        library: &'static Library,
        codec: &CStr,
        settings: &[(&CStr, CString)],
    ) -> Result<Self, Failure> {
        let functions = &library.functions;
        // SAFETY: takes a text that ends with zero, and gives a static structure or null.
        let codec = unsafe { (functions.avcodec_find_decoder_by_name)(codec.as_ptr()) };
        if codec.is_null() {
            return Err(Failure::NO_DECODER);
        }
        // SAFETY: the codec is one of this library's; each gives a structure of our own, or null.
        let (context, packet, frame) = unsafe {
            let context = (functions.avcodec_alloc_context3)(codec);
            (context, (functions.av_packet_alloc)(), (functions.av_frame_alloc)())
        };
        // Frees what there is, whatever fails from here on.
        let session = Self { library, context, packet, frame };
        if context.is_null() || packet.is_null() || frame.is_null() {
            return Err(Failure(-OUT_OF_MEMORY));
        }
        session.silence();
        for (name, value) in settings {
            // SAFETY: the context begins with its class, as it must; the texts end with zero and are copied.
            Failure::of(unsafe { (functions.av_opt_set)(context, name.as_ptr(), value.as_ptr(), 0) })?;
        }
        // SAFETY: the context was made for this codec, and is opened once.
        Failure::of(unsafe { (functions.avcodec_open2)(context, codec, ptr::null_mut()) })?;
        Ok(session)
    }

    /// What it has to say comes back as failures. Only this decoder is silenced: others in the process may use the library too.
    fn silence(&self) {
        // SAFETY: the context begins with a pointer to its class, which says where in the context the `int` is that is added to
        // the level of what it says; 0 is nowhere.
        unsafe {
            let class = *self.context.cast::<*const Class>();
            if let Ok(offset @ 1..) = usize::try_from((*class).log_level_offset_offset) {
                *self.context.cast::<u8>().add(offset).cast::<c_int>() = SILENT;
            }
        }
    }

    /// Feeds a sample in parts. All pictures must have been taken out.
    pub(super) fn send(&mut self, parts: &[&[u8]], pts: i64) -> Result<(), Failure> {
        let n_bytes = parts.iter().map(|it| it.len()).sum::<usize>();
        let size = c_int::try_from(n_bytes).map_err(|_| Failure(-OUT_OF_MEMORY))?;
        let functions = &self.library.functions;
        // SAFETY: the packet holds nothing, as it is emptied below.
        Failure::of(unsafe { (functions.av_new_packet)(self.packet, size) })?;
        // SAFETY: the packet has room for all parts, which nobody else has. The decoder takes a reference of its own.
        unsafe {
            (*self.packet).pts = pts;
            let mut to = (*self.packet).data;
            for part in parts {
                ptr::copy_nonoverlapping(part.as_ptr(), to, part.len());
                to = to.add(part.len());
            }
            let sent = (functions.avcodec_send_packet)(self.context, self.packet);
            (functions.av_packet_unref)(self.packet);
            Failure::of(sent)
        }
    }

    /// Says that no sample follows.
    pub(super) fn send_end(&mut self) -> Result<(), Failure> {
        // SAFETY: no packet stands for the end.
        Failure::of(unsafe { (self.library.functions.avcodec_send_packet)(self.context, ptr::null()) })
    }

    /// The next picture; `None` until more is fed.
    pub(super) fn receive(&mut self) -> Result<Option<Picture<'_>>, Failure> {
        // SAFETY: the frame is empty, or emptied by the function.
        match Failure::of(unsafe { (self.library.functions.avcodec_receive_frame)(self.context, self.frame) })
        {
            Ok(()) => Ok(Some(Picture { session: self })),
            Err(failure) if failure.is_pause() => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    /// Forgets all that was fed.
    pub(super) fn flush(&mut self) {
        // SAFETY: the context is open.
        unsafe { (self.library.functions.avcodec_flush_buffers)(self.context) }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let functions = &self.library.functions;
        // SAFETY: each is ours or null, which is left alone, and nobody asks for it afterwards.
        unsafe {
            (functions.av_frame_free)(&raw mut self.frame);
            (functions.av_packet_free)(&raw mut self.packet);
            (functions.avcodec_free_context)(&raw mut self.context);
        }
    }
}

/// A picture that a decoder holds.
pub(super) struct Picture<'a> {
    session: &'a mut Session,
}

impl Picture<'_> {
    fn head(&self) -> &Frame {
        // SAFETY: the frame is there as long as its session, which changes it only through `&mut self`.
        unsafe { &*self.session.frame }
    }

    /// A field of `AVFrame`, by its place.
    fn int(&self, offset: usize) -> c_int {
        // SAFETY: the place is that of an `int` in frames of this library's version.
        unsafe { self.session.frame.cast::<u8>().add(offset).cast::<c_int>().read() }
    }

    /// Columns and rows.
    pub(super) fn size(&self) -> (u32, u32) {
        let head = self.head();
        (head.width.max(0) as u32, head.height.max(0) as u32)
    }

    /// The number of its sample.
    pub(super) fn pts(&self) -> Option<i64> {
        Some(self.head().pts).filter(|it| *it != NO_PTS)
    }

    /// Whether FFmpeg filled in what was missing.
    pub(super) fn is_damaged(&self) -> bool {
        let fields = &self.session.library.fields;
        self.int(fields.flags) & FLAG_CORRUPT != 0 || self.int(fields.decode_error_flags) != 0
    }

    /// Whether luma uses all values, as far as the stream says so.
    pub(super) fn is_full_range(&self) -> bool {
        self.int(self.session.library.fields.color_range) == RANGE_JPEG
    }

    /// `MatrixCoefficients` of ITU-T H.273, whose numbers FFmpeg has.
    pub(super) fn matrix(&self) -> u8 {
        self.int(self.session.library.fields.colorspace) as u8
    }

    /// The name of the pixel format.
    pub(super) fn format(&self) -> &'static str {
        // SAFETY: takes any number, and gives a static text or null.
        let name = unsafe { (self.session.library.functions.av_get_pix_fmt_name)(self.head().format) };
        if name.is_null() {
            return "none";
        }
        // SAFETY: it is such a text, which ends with zero.
        unsafe { CStr::from_ptr(name) }.to_str().unwrap_or("none")
    }

    /// So many of its planes, rows without what they are padded with; `None` where there are not so many.
    pub(super) fn planes(&self, n_planes: usize) -> Option<Vec<Vec<u8>>> {
        let (chroma, bit_depth) = layout(self.format())?;
        (0..n_planes.min(chroma.n_planes())).map(|idx| self.plane(idx, chroma, bit_depth)).collect()
    }

    fn plane(&self, idx: usize, chroma: Chroma, bit_depth: u8) -> Option<Vec<u8>> {
        let (width, height) = self.size();
        let (columns, rows) = if idx == 0 { (width, height) } else { chroma.plane_size(width, height) };
        let row_bytes = columns as usize * if bit_depth > 8 { 2 } else { 1 };
        let (data, stride) = (self.head().data[idx], self.head().linesize[idx] as isize);
        if data.is_null() || stride.unsigned_abs() < row_bytes {
            return None;
        }
        let mut values = Vec::with_capacity(row_bytes * rows as usize);
        for row in 0..rows as isize {
            // SAFETY: the frame's own format, of which `chroma` and `bit_depth` are, has `rows` rows of `row_bytes` bytes in this
            // plane, each `stride` bytes behind the one above; they stay until the picture is dropped.
            let row = unsafe { std::slice::from_raw_parts(data.offset(row * stride), row_bytes) };
            values.extend_from_slice(row);
        }
        Some(values)
    }
}

impl Drop for Picture<'_> {
    fn drop(&mut self) {
        // SAFETY: nothing borrowed of the frame outlives the picture.
        unsafe { (self.session.library.functions.av_frame_unref)(self.session.frame) }
    }
}
