use super::*;

struct Case {
    encoding: &'static str,
    width: u64,
    height: u64,
    step: u64,
    is_bigendian: bool,
}

impl Case {
    fn image(&self) -> RawImage {
        let Self { encoding, width, height, step, is_bigendian } = *self;
        RawImage { layout: RawLayout::from_name(encoding).unwrap(), width, height, step, is_bigendian }
    }
}

/// Normalises and returns what is kept, with its name, type and shape.
#[track_caller]
fn stored(case: &Case, source: &[u8]) -> (Vec<u8>, String, DType, Vec<u32>) {
    let mut data = source.to_vec();
    match normalize(&mut data, &case.image()) {
        Normalized::Stored(stored) => {
            data.truncate(stored.n_bytes);
            (data, stored.encoding.as_str().to_owned(), stored.dtype, stored.dims().to_vec())
        }
        Normalized::AsIs => panic!("{} was not understood", case.encoding),
    }
}

#[track_caller]
fn check_as_is(case: &Case, source: &[u8]) {
    let mut data = source.to_vec();
    assert_eq!(normalize(&mut data, &case.image()), Normalized::AsIs, "{}", case.encoding);
    assert_eq!(data, source, "bytes of {} were touched", case.encoding);
}

#[test]
fn blue_first_colour_becomes_red_first() {
    let case = Case { encoding: "bgr8", width: 2, height: 2, step: 6, is_bigendian: false };
    let (data, name, dtype, shape) = stored(&case, &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
    assert_eq!(data, [3, 2, 1, 6, 5, 4, 9, 8, 7, 12, 11, 10]);
    assert_eq!((name.as_str(), dtype, shape.as_slice()), ("rgb8", DType::UInt8, &[2, 2, 3][..]));

    let case = Case { encoding: "bgra8", width: 2, height: 1, step: 8, is_bigendian: false };
    let (data, name, _, shape) = stored(&case, &[1, 2, 3, 4, 5, 6, 7, 8]);
    assert_eq!(data, [3, 2, 1, 4, 7, 6, 5, 8]);
    assert_eq!((name.as_str(), shape.as_slice()), ("rgba8", &[1, 2, 4][..]));

    let case = Case { encoding: "bgr16", width: 1, height: 1, step: 6, is_bigendian: false };
    let (data, name, dtype, _) = stored(&case, &[1, 2, 3, 4, 5, 6]);
    assert_eq!(data, [5, 6, 3, 4, 1, 2]);
    assert_eq!((name.as_str(), dtype), ("rgb16", DType::UInt16));

    let case = Case { encoding: "bgra16", width: 1, height: 1, step: 8, is_bigendian: true };
    let (data, name, ..) = stored(&case, &[1, 2, 3, 4, 5, 6, 7, 8]);
    assert_eq!(data, [6, 5, 4, 3, 2, 1, 8, 7]);
    assert_eq!(name, "rgba16");
}

#[test]
fn row_padding_is_dropped() {
    let case = Case { encoding: "mono8", width: 3, height: 3, step: 5, is_bigendian: false };
    let (data, name, _, shape) = stored(&case, &[1, 2, 3, 0, 0, 4, 5, 6, 0, 0, 7, 8, 9, 0, 0]);
    assert_eq!(data, [1, 2, 3, 4, 5, 6, 7, 8, 9]);
    assert_eq!((name.as_str(), shape.as_slice()), ("mono8", &[3, 3][..]));

    let case = Case { encoding: "bgr8", width: 1, height: 2, step: 4, is_bigendian: false };
    assert_eq!(stored(&case, &[1, 2, 3, 0, 4, 5, 6, 0]).0, [3, 2, 1, 6, 5, 4]);

    // A step of 0 is how some drivers say that rows are tight.
    let case = Case { encoding: "rgb8", width: 1, height: 2, step: 0, is_bigendian: false };
    assert_eq!(stored(&case, &[1, 2, 3, 4, 5, 6]).0, [1, 2, 3, 4, 5, 6]);
}

#[test]
fn big_endian_samples_become_little_endian() {
    let swapped = |encoding, width, source: &[u8]| {
        let case = Case { encoding, width, height: 1, step: source.len() as u64, is_bigendian: true };
        stored(&case, source).0
    };
    assert_eq!(swapped("mono16", 2, &[1, 2, 3, 4]), [2, 1, 4, 3]);
    assert_eq!(swapped("16UC1", 2, &[1, 2, 3, 4]), [2, 1, 4, 3]);
    assert_eq!(swapped("bayer_rggb16", 2, &[1, 2, 3, 4]), [2, 1, 4, 3]);
    assert_eq!(swapped("32FC1", 1, &[1, 2, 3, 4]), [4, 3, 2, 1]);
    assert_eq!(swapped("64FC1", 1, &[1, 2, 3, 4, 5, 6, 7, 8]), [8, 7, 6, 5, 4, 3, 2, 1]);
    assert_eq!(swapped("rgb8", 1, &[1, 2, 3]), [1, 2, 3]);
    // Padding and byte order at once.
    let case = Case { encoding: "mono16", width: 1, height: 2, step: 3, is_bigendian: true };
    assert_eq!(stored(&case, &[1, 2, 0, 3, 4, 0]).0, [2, 1, 4, 3]);
}

#[test]
fn every_untouched_encoding_keeps_its_bytes_and_tells_its_shape() {
    let cases: [(&str, u64, u64, DType, &[u32]); 20] = [
        ("rgb8", 2, 2, DType::UInt8, &[2, 2, 3]),
        ("rgba8", 2, 2, DType::UInt8, &[2, 2, 4]),
        ("rgb16", 2, 2, DType::UInt16, &[2, 2, 3]),
        ("rgba16", 2, 2, DType::UInt16, &[2, 2, 4]),
        ("mono8", 2, 2, DType::UInt8, &[2, 2]),
        ("mono16", 2, 2, DType::UInt16, &[2, 2]),
        ("8UC1", 2, 2, DType::UInt8, &[2, 2]),
        ("8UC3", 2, 2, DType::UInt8, &[2, 2, 3]),
        ("8SC2", 2, 2, DType::Int8, &[2, 2, 2]),
        ("16SC1", 2, 2, DType::Int16, &[2, 2]),
        ("32SC1", 2, 2, DType::Int32, &[2, 2]),
        ("32FC3", 2, 2, DType::Float32, &[2, 2, 3]),
        ("64FC2", 2, 2, DType::Float64, &[2, 2, 2]),
        ("bayer_rggb8", 2, 2, DType::UInt8, &[2, 2]),
        ("bayer_gbrg16", 2, 2, DType::UInt16, &[2, 2]),
        ("yuv422", 2, 2, DType::UInt8, &[2, 2, 2]),
        ("yuyv", 2, 2, DType::UInt8, &[2, 2, 2]),
        ("nv12", 4, 2, DType::UInt8, &[3, 4]),
        ("nv21", 4, 4, DType::UInt8, &[6, 4]),
        ("nv24", 2, 2, DType::UInt8, &[6, 2]),
    ];
    for (encoding, width, height, expected_dtype, expected_shape) in cases {
        let n_samples: u32 = expected_shape.iter().product();
        let n_bytes = n_samples as usize * expected_dtype.byte_width().unwrap();
        let source: Vec<u8> = (0..n_bytes).map(|it| (it * 7) as u8).collect();
        let step = n_bytes as u64 / u64::from(expected_shape[0]);
        let (data, name, dtype, shape) =
            stored(&Case { encoding, width, height, step, is_bigendian: false }, &source);
        assert_eq!((data, name.as_str(), dtype), (source, encoding, expected_dtype));
        assert_eq!(shape, expected_shape, "{encoding}");
    }
}

#[test]
fn bytes_that_do_not_fit_their_description_stay_as_they_came() {
    let case = |encoding, width, height, step| Case { encoding, width, height, step, is_bigendian: true };
    let bytes = [1, 2, 3, 4, 5, 6];
    check_as_is(&case("bgr8", 2, 2, 6), &bytes);
    check_as_is(&case("bgr8", 2, 1, 5), &bytes);
    check_as_is(&case("bgr8", 1, 1, 3), &bytes);
    check_as_is(&case("bgr16", u64::MAX, 1, u64::MAX), &bytes);
    check_as_is(&case("mono16", 3, u64::MAX, 6), &bytes);
    check_as_is(&case("nv12", 3, 1, 3), &bytes);
    check_as_is(&case("yuv422", 3, 1, 6), &bytes);
    check_as_is(&case("nv24", 1, 1, 2), &bytes);
}

#[test]
fn an_empty_image_is_an_image() {
    let case = Case { encoding: "rgb8", width: 0, height: 0, step: 0, is_bigendian: false };
    let (data, _, _, shape) = stored(&case, &[]);
    assert!(data.is_empty());
    assert_eq!(shape, [0, 0, 3]);
}
