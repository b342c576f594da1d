use nodedata_core::{DType, Dim};
use nodedata_schema::FieldSchema;

/// The type of a feature in the words of Croissant.
pub(crate) fn croissant_type(field: &FieldSchema) -> &'static str {
    if field.encoding.as_deref().is_some_and(is_image) {
        return "sc:ImageObject";
    }
    if field.encoding.as_deref().is_some_and(is_sound) {
        return "sc:AudioObject";
    }
    if field.encoding.as_deref().is_some_and(is_video) {
        return "sc:VideoObject";
    }
    match field.dtype {
        DType::Bool => "sc:Boolean",
        DType::Int8 => "cr:Int8",
        DType::Int16 => "cr:Int16",
        DType::Int32 => "cr:Int32",
        DType::Int64 => "cr:Int64",
        DType::UInt8 => "cr:UInt8",
        DType::UInt16 => "cr:UInt16",
        DType::UInt32 => "cr:UInt32",
        DType::UInt64 => "cr:UInt64",
        DType::Float16 => "cr:Float16",
        DType::Float32 => "cr:Float32",
        DType::Float64 => "cr:Float64",
        DType::String => "sc:Text",
        // Bytes have no type of their own there.
        DType::Bytes => "sc:Text",
    }
}

/// The shape of a feature's value, without time, as `arrayShape` writes it; `None` for a scalar. Of what is coded,
/// such as pictures, only the lists around it have a shape there.
pub(crate) fn array_shape(field: &FieldSchema) -> Option<String> {
    let shape = match (&field.encoding, field.lists) {
        (Some(_), lists) => field.shape.get(..lists.unwrap_or(0)).unwrap_or_default(),
        (None, _) => &field.shape,
    };
    if shape.is_empty() {
        return None;
    }
    Some(shape.iter().copied().map(Dim::as_i64).map(|it| it.to_string()).collect::<Vec<_>>().join(","))
}

/// Whether values are clips of sound, each a file.
fn is_sound(encoding: &str) -> bool {
    matches!(encoding, "flac" | "wav" | "mp3" | "ogg" | "opus" | "m4a")
}

/// Whether values are videos, each a file.
fn is_video(encoding: &str) -> bool {
    matches!(encoding, "mp4" | "avi")
}

/// Whether values are pictures, coded one by one.
fn is_image(encoding: &str) -> bool {
    encoding.split(',').all(|it| matches!(it, "jpeg" | "png" | "png16" | "webp"))
}
