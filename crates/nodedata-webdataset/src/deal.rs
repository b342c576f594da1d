use nodedata_core::{ErrorKind, Result, RowDeal, RowKey};
use nodedata_message::value_at;
use nodedata_steps::own_name_of_sample;

use crate::{
    archive::Archive,
    group::{Field, Sample},
    member::{Bounds, Coding, dealt_by, unpacked},
    table::KEY,
};

/// Position of the split that a sample is dealt to: by its key, or the value of a feature. One without it is dealt by its key.
///
/// # Errors
/// `Io`.
pub(crate) fn split_of(deal: &RowDeal, sample: &Sample, archive: &Archive, bounds: Bounds) -> Result<usize> {
    let value = match &deal.key {
        RowKey::Row => None,
        RowKey::Field(name) if name == KEY => None,
        RowKey::Field(name) => match value_of(sample, own_name_of_sample(name), archive, bounds) {
            Ok(value) => value,
            Err(err) if err.kind() == ErrorKind::Io => return Err(err),
            // What cannot be read has no value.
            Err(_) => None,
        },
    };
    Ok(deal.split_of_record(sample.key.as_bytes(), |_| value))
}

/// The value of a field, or of what a field of JSON holds.
fn value_of(sample: &Sample, name: &str, archive: &Archive, bounds: Bounds) -> Result<Option<Vec<u8>>> {
    let read = |field: &Field| {
        let (coding, is_packed) = Coding::of(&field.name);
        let contents = archive.read(&field.data)?;
        Ok::<_, nodedata_core::Error>((
            coding,
            if is_packed { unpacked(contents, bounds)? } else { contents },
        ))
    };
    if let Some(field) = sample.fields.iter().find(|it| it.name == name) {
        let (coding, contents) = read(field)?;
        return Ok(Some(dealt_by(coding, &contents).into_owned()));
    }
    for field in &sample.fields {
        let path = name.strip_prefix(&field.name).and_then(|it| it.strip_prefix('.'));
        if let Some(path) = path
            && Coding::of(&field.name).0 == Coding::Json
            && let Some(value) = value_at(&read(field)?.1, path)
        {
            return Ok(Some(value));
        }
    }
    Ok(None)
}
