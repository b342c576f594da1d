use nodedata_core::{ErrorKind, Result};

use super::{
    cell::TablePage,
    header::u32_at,
    page::{PageSet, Pages},
};

/// Leaves that no tree leads to and all rows of which fit, in the order of pages. Pages that are `reached` or free are not
/// among them: what was deleted stays deleted.
///
/// # Errors
/// `Io`.
pub(crate) fn orphans(
    pages: &Pages,
    reached: &mut PageSet,
    first_free: u32,
    fits: impl Fn(&TablePage, usize) -> bool,
) -> Result<Vec<u32>> {
    free(pages, first_free, reached)?;
    let mut found = Vec::new();
    for no in 2..=pages.n_there() {
        if reached.has(no) {
            continue;
        }
        match TablePage::read(pages, no) {
            Ok(page) if page.is_leaf && page.n_cells() != 0 => {
                if (0..page.n_cells()).all(|it| fits(&page, it)) {
                    found.push(no);
                }
            }
            Err(err) if err.kind() == ErrorKind::Io => return Err(err),
            Ok(_) | Err(_) => {}
        }
    }
    Ok(found)
}

/// Adds the pages of the list of free ones, as far as it can be followed.
fn free(pages: &Pages, first: u32, reached: &mut PageSet) -> Result<()> {
    let mut trunk = first;
    while trunk != 0 && reached.insert(trunk) {
        let page = match pages.read(trunk) {
            Ok(page) => page.bytes,
            Err(err) if err.kind() == ErrorKind::Io => return Err(err),
            Err(_) => return Ok(()),
        };
        trunk = u32_at(&page, 0);
        let n = (u32_at(&page, 4) as usize).min(pages.usable() / 4 - 2);
        for idx in 0..n {
            reached.insert(u32_at(&page, 8 + 4 * idx));
        }
    }
    Ok(())
}
