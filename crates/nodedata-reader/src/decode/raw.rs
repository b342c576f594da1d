//! Raw tensors, each in bytes of its own.

use nodedata_core::{Error, ErrorKind, Result};
use nodedata_media::ImageShape;

use super::{Decoding, media::valid_of, pictures::Scratch};
use crate::{
    fields::Field,
    rows::{Data, Tensor, item_bytes},
};

impl Decoding<'_> {
    /// The values of all rows, little endian as they are stored.
    pub(super) fn raw(&self, field: &Field, dims: &[usize]) -> Result<(Data, Option<Vec<bool>>)> {
        let rows = self.media(field)?;
        let dtype = field.info.dtype;
        let stored = item_bytes(dtype, dims);
        let from = field.picture();
        let to = from.zip(field.resize).map(|(from, [height, width])| ImageShape { height, width, ..from });
        let each = to.map_or(stored, |it| it.n_bytes());
        let mut bytes = self.room(field, each.and_then(|it| it.checked_mul(rows.len())))?;
        let mut scratch = Scratch::default();
        let targets = bytes.chunks_exact_mut(each.unwrap_or(0).max(1));
        for (row, target) in rows.iter().zip(targets) {
            let Some(found) = row.items.first().and_then(Option::as_ref) else {
                target.fill(0);
                continue;
            };
            let done = match (stored == Some(found.len()), from.zip(to)) {
                (false, _) => Err(other_length(found.len(), dims, field)),
                (true, None) => {
                    target.copy_from_slice(found);
                    Ok(())
                }
                (true, Some((from, to))) if from == to => {
                    target.copy_from_slice(found);
                    Ok(())
                }
                (true, Some((from, to))) => scratch.frame(&from, &to, found, target),
            };
            done.map_err(|err| self.placed_at_row(err, Some(row), field))?;
        }
        let mut shape = dims.to_vec();
        if let (Some([height, width]), Some(sides)) = (field.resize, shape.get_mut(..2)) {
            sides.copy_from_slice(&[height as usize, width as usize]);
        }
        Ok((Data::Tensor(Tensor { dtype, shape, bytes }), valid_of(&rows)))
    }
}

fn other_length(n_found: usize, dims: &[usize], field: &Field) -> Error {
    let message = format!("the frame has {n_found} bytes, which are no {dims:?} of {}", field.info.dtype);
    Error::new(ErrorKind::SchemaMismatch, message)
        .with_hint("read this feature as bytes, or leave the episodes out whose frames are of another shape")
}
