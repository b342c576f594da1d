//! Images as TFDS stores them.

use nodedata_core::{DType, Error, ErrorKind, Result};
use nodedata_media::{Encoding, decode_image, image_header, sniff};

/// Holds against its own first bytes that an image is one. It stays as it is, whatever coding the features name: TFDS
/// stores what it is given.
///
/// # Errors
/// `Corrupt` when it is none.
pub(crate) fn check(bytes: &[u8]) -> Result<()> {
    let message = match sniff(bytes) {
        // Their headers are not read here.
        Some(Encoding::Avif | Encoding::J2k) => return Ok(()),
        Some(_) if image_header(bytes).is_some() => return Ok(()),
        Some(other) => {
            format!("the image begins as {} does, but its header is damaged", other.name().to_uppercase())
        }
        None if bytes.is_empty() => "the image has no bytes".to_owned(),
        None => format!("{} bytes are no image of a known kind", bytes.len()),
    };
    Err(Error::new(ErrorKind::Corrupt, message))
}

/// The floats of an image, whose bytes TFDS takes for the four channels of a PNG: rows, columns, and the floats from
/// the lowest byte.
///
/// # Errors
/// `Corrupt` when it is no such PNG or has another shape; `Limit` when it is too large.
pub(crate) fn floats(bytes: &[u8], shape: &[Option<u32>]) -> Result<([u32; 2], Vec<u8>)> {
    let header = image_header(bytes).filter(|it| {
        let is_four_bytes = it.channels == 4 && it.dtype == DType::UInt8;
        it.encoding == Encoding::Png && is_four_bytes
    });
    let Some(header) = header else {
        let message = "an image of floats is stored as a PNG of four channels of a byte, which this is not";
        return Err(Error::new(ErrorKind::Corrupt, message));
    };
    let found = [header.height, header.width];
    // Before anything is taken for it.
    if shape.iter().zip(found).any(|(declared, found)| declared.is_some_and(|it| it != found)) {
        let told: Vec<String> =
            shape.iter().map(|it| it.map_or("?".to_owned(), |it| it.to_string())).collect();
        let message = format!(
            "an image of {} × {} floats, but `features.json` says [{}]",
            header.height,
            header.width,
            told.join(", ")
        );
        return Err(Error::new(ErrorKind::Corrupt, message));
    }
    let decoded = decode_image(bytes)?;
    if (decoded.channels, decoded.dtype) != (4, DType::UInt8) {
        return Err(Error::new(
            ErrorKind::Corrupt,
            "the image of floats has other channels than its header says",
        ));
    }
    Ok((found, decoded.pixels))
}
