//! Members as the `tar` crate finds them.

use std::io::Read as _;

use nodedata_core::Files as _;
use nodedata_io::MemoryFiles;
use nodedata_testkit::corpus;
use tar::{Builder, EntryType, Header};

use super::*;

/// Name, contents, and whether it is a file, of each member.
type Found = Vec<(Vec<u8>, Vec<u8>, bool)>;

fn walked(bytes: &[u8]) -> Found {
    let file = MemoryFiles::default().with("a", bytes.to_vec()).open("a".as_ref()).unwrap();
    let mut walk = Walk::within(file.as_ref(), 0..u64::MAX);
    let mut found = Vec::new();
    let mut end = 0;
    while let Some(member) = walk.next_member().unwrap() {
        assert!(end <= member.start && member.start + 512 <= member.data.start);
        end = member.data.end;
        let contents = bytes[member.data.start as usize..member.data.end as usize].to_vec();
        found.push((member.name, contents, member.kind == MemberKind::File));
    }
    assert!(walk.end().is_none(), "{:?}", walk.end());
    found
}

fn oracle(bytes: &[u8]) -> Found {
    let mut archive = tar::Archive::new(bytes);
    let entries = archive.entries().unwrap();
    let one = |entry: std::io::Result<tar::Entry<'_, &[u8]>>| {
        let mut entry = entry.unwrap();
        let mut contents = Vec::new();
        entry.read_to_end(&mut contents).unwrap();
        let is_file = matches!(entry.header().entry_type(), EntryType::Regular | EntryType::Continuous);
        (entry.path_bytes().into_owned(), contents, is_file)
    };
    entries.map(one).collect()
}

fn header(mut header: Header, kind: EntryType, n_bytes: usize) -> Header {
    header.set_entry_type(kind);
    header.set_size(n_bytes as u64);
    header.set_mode(0o444);
    header.set_cksum();
    header
}

#[test]
fn members_are_those_that_others_find() {
    let mut builder = Builder::new(Vec::new());
    let long = format!("{}/{}.tar.txt", "d".repeat(120), "n".repeat(150));
    for (kind, make) in [("ustar", Header::new_ustar as fn() -> Header), ("gnu", Header::new_gnu)] {
        for name in ["a.txt", "dir.x/ümläut.json", &long] {
            let name = format!("{kind}/{name}");
            for contents in [&b""[..], b"x", &[7; 512], &[8; 1300]] {
                let mut header = header(make(), EntryType::Regular, contents.len());
                // Names that USTAR has no room for are left to extended headers.
                if kind == "ustar" && name.len() > 200 {
                    let path = ("path", name.as_bytes());
                    builder.append_pax_extensions([path, ("mtime", b"1.5")]).unwrap();
                    builder.append_data(&mut header, "short", contents).unwrap();
                } else {
                    builder.append_data(&mut header, &name, contents).unwrap();
                }
            }
        }
    }
    let mut folder = header(Header::new_ustar(), EntryType::Directory, 0);
    builder.append_data(&mut folder, "folder/", &b""[..]).unwrap();
    let mut link = header(Header::new_gnu(), EntryType::Symlink, 0);
    builder.append_link(&mut link, "link", "t".repeat(300)).unwrap();
    let mut again = header(Header::new_gnu(), EntryType::Regular, 1);
    builder.append_data(&mut again, "last.txt", &b"z"[..]).unwrap();
    let bytes = builder.into_inner().unwrap();
    let found = walked(&bytes);
    assert_eq!(found, oracle(&bytes));
    assert_eq!(found.len(), 2 * 3 * 4 + 3);
    assert!(found.iter().any(|it| it.0.len() > 270));
}

#[test]
fn a_prefix_is_a_part_of_the_name() {
    let mut builder = Builder::new(Vec::new());
    let name = format!("{}/{}.txt", "p".repeat(90), "n".repeat(80));
    let mut header = header(Header::new_ustar(), EntryType::Regular, 1);
    builder.append_data(&mut header, &name, &b"x"[..]).unwrap();
    let bytes = builder.into_inner().unwrap();
    assert_eq!(walked(&bytes)[0].0, name.as_bytes());
}

#[test]
fn corpus_archives_have_the_members_that_others_find() {
    let Some(folder) = corpus::folder("episodes") else { return };
    let mut archives = corpus::files(&folder.join("webdataset/frames"), ".tar");
    archives.extend(corpus::files(&folder.join("public/webdataset"), ".tar"));
    assert!(5 < archives.len(), "{archives:?}");
    for path in archives {
        let bytes = std::fs::read(&path).unwrap();
        assert_eq!(walked(&bytes), oracle(&bytes), "{}", path.display());
    }
}
