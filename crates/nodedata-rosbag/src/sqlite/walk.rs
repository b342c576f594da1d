use nodedata_core::{Error, ErrorKind, Result};
use nodedata_log::corrupt;

use super::{
    cell::TablePage,
    page::{PageSet, Pages},
};

/// A leaf of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Leaf {
    pub(crate) page: u32,
    /// Up to where in the file the pages lie that lead to it, and itself.
    pub(crate) own_end: u64,
}

/// The leaves of a table in the order of its rows.
#[derive(Debug)]
pub(crate) struct Tree {
    pub(crate) leaves: Vec<Leaf>,
    /// Pages that lead nowhere, so that rows are missing.
    pub(crate) broken: Vec<Broken>,
}

/// A page of a tree that cannot be used, with an error that has a place.
#[derive(Debug)]
pub(crate) struct Broken {
    pub(crate) page: u32,
    pub(crate) error: Error,
}

/// Walks the interior pages of a table. All leaves are equally deep, so that none has to be looked at. Pages that were walked are
/// added to `reached`; one that was reached already ends its branch, so that no walk is longer than the database.
///
/// # Errors
/// `Io`; otherwise nothing: what cannot be walked is in [`Tree::broken`].
pub(crate) fn leaves(pages: &Pages, root: u32, reached: &mut PageSet) -> Result<Tree> {
    let mut tree = Tree { leaves: Vec::new(), broken: Vec::new() };
    let depth = depth(pages, root)?;
    // Page, how deep it is, up to where the pages above it lie, and the one that names it.
    let mut to_do = vec![(root, 0, 0, 1)];
    while let Some((page, level, above, parent)) = to_do.pop() {
        let is_there = 0 < page && page <= pages.n_pages();
        if !is_there || !reached.insert(page) {
            let what = match is_there {
                true => "which a tree leads to already".to_owned(),
                false => format!("but the database has {}", pages.n_pages()),
            };
            let message = format!("page {parent} leads to page {page}, {what}");
            tree.broken.push(Broken { page, error: corrupt(message).at(pages.locus(pages.place(parent))) });
            continue;
        }
        let own_end = pages.own_end(page).max(above);
        if depth == Some(level) {
            tree.leaves.push(Leaf { page, own_end });
            continue;
        }
        let children = TablePage::read(pages, page).and_then(|it| match it.is_leaf {
            true => Ok(None),
            false => it.children().map(Some).map_err(|err| err.at(pages.locus(it.page.place))),
        });
        match children {
            Ok(None) => tree.leaves.push(Leaf { page, own_end }),
            Ok(Some(children)) => {
                to_do.extend(children.iter().rev().map(|it| (*it, level + 1, own_end, page)));
            }
            Err(error) if error.kind() == ErrorKind::Io => return Err(error),
            Err(error) => tree.broken.push(Broken { page, error }),
        }
    }
    Ok(tree)
}

/// How deep leaves are, by the way to the first one; `None` where that is broken.
fn depth(pages: &Pages, root: u32) -> Result<Option<u32>> {
    let mut page = root;
    let mut walked = PageSet::up_to(pages.n_there());
    let mut depth = 0;
    while walked.insert(page) {
        match TablePage::read(pages, page) {
            Ok(it) if it.is_leaf => return Ok(Some(depth)),
            Ok(it) => match it.children() {
                Ok(children) => page = children[0],
                Err(_) => return Ok(None),
            },
            Err(error) if error.kind() == ErrorKind::Io => return Err(error),
            Err(_) => return Ok(None),
        }
        depth += 1;
    }
    Ok(None)
}
