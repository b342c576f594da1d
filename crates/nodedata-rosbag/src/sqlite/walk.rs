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
pub(crate) fn leaves(pages: &Pages, root: u32, reached: &mut PageSet, salvage: bool) -> Result<Tree> {
    let mut tree = Tree { leaves: Vec::new(), broken: Vec::new() };
    // The first way may be the broken one, and then all others would be taken for it: to salvage, each page is looked at.
    let shortcut = if salvage { None } else { depth(pages, root)? };
    let mut leaf_level = shortcut;
    let mut is_even = true;
    // Pages of which it is told that they lead nowhere: once each, as one can do that a thousand times.
    let mut told = PageSet::up_to(pages.n_there());
    // Page, how deep it is, up to where the pages above it lie, and the one that names it.
    let mut to_do = vec![(root, 0, 0, 1)];
    while let Some((page, level, above, parent)) = to_do.pop() {
        if let Some(what) = dead_end(pages, page, reached) {
            if told.insert(parent) {
                tree.broken.push(Broken { page, error: misled(pages, parent, page, &what) });
            }
            continue;
        }
        let own_end = pages.own_end(page).max(above);
        if shortcut == Some(level) {
            tree.leaves.push(Leaf { page, own_end });
            continue;
        }
        let children = TablePage::read(pages, page).and_then(|it| match it.is_leaf {
            true => Ok(None),
            false => it.children().map(Some).map_err(|err| err.at(pages.locus(it.page.place))),
        });
        match children {
            Ok(None) => {
                if is_even && *leaf_level.get_or_insert(level) != level {
                    // The leaves that should be below the page are missing, and nothing else tells.
                    is_even = false;
                    let error = misled(pages, parent, page, "whose rows are not as deep as others are");
                    tree.broken.push(Broken { page: parent, error });
                }
                tree.leaves.push(Leaf { page, own_end });
            }
            Ok(Some(children)) => {
                to_do.extend(children.iter().rev().map(|it| (*it, level + 1, own_end, page)));
            }
            Err(error) if error.kind() == ErrorKind::Io => return Err(error),
            Err(error) => tree.broken.push(Broken { page, error }),
        }
    }
    Ok(tree)
}

/// Why a page that is named is not walked; `None` where it is, and from now on reached.
fn dead_end(pages: &Pages, page: u32, reached: &mut PageSet) -> Option<String> {
    if page == 0 || pages.n_pages() < page {
        return Some(format!("but the database has {}", pages.n_pages()));
    }
    if pages.n_there() < page {
        return Some("which lies behind the end of the file".to_owned());
    }
    (!reached.insert(page)).then(|| "which a tree leads to already".to_owned())
}

fn misled(pages: &Pages, parent: u32, page: u32, what: &str) -> Error {
    let message = format!("page {parent} leads to page {page}, {what}");
    corrupt(message).at(pages.locus(pages.place(parent)))
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
