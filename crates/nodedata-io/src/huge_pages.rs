//! Memory in pages of two mebibytes.

/// Below this, huge pages save little.
const LEAST_BYTES: usize = 4 << 20;

/// So many zeros, for values that are written to them soon; `None` where there is no room for them.
///
/// As long as nobody writes to them they cost nothing. Of much memory the system is asked for huge pages, where it has them: it hands
/// out and clears one page at a time, and of small ones that takes as long as decoding a small picture into them.
pub fn zeros(n_bytes: usize) -> Option<Vec<u8>> {
    // The probe fails where `vec!` would end the process.
    if Vec::<u8>::new().try_reserve_exact(n_bytes).is_err() {
        return None;
    }
    let mut bytes = vec![0; n_bytes];
    if n_bytes >= LEAST_BYTES {
        ask_for_huge_pages(&mut bytes);
    }
    Some(bytes)
}

#[cfg(target_os = "linux")]
fn ask_for_huge_pages(bytes: &mut [u8]) {
    const HUGE: usize = 2 << 20;
    let before = bytes.as_ptr().addr().next_multiple_of(HUGE) - bytes.as_ptr().addr();
    let n_bytes = bytes.len().saturating_sub(before) / HUGE * HUGE;
    let Some(whole) = bytes.get_mut(before..before + n_bytes).filter(|it| !it.is_empty()) else { return };
    #[expect(
        unsafe_code,
        reason = "no safe function gives advice about memory that is not mapped from a file"
    )]
    // SAFETY: the advice is about these bytes alone, which are whole pages, and changes none of them.
    let _may_fail = unsafe {
        rustix::mm::madvise(whole.as_mut_ptr().cast(), whole.len(), rustix::mm::Advice::LinuxHugepage)
    };
}

#[cfg(not(target_os = "linux"))]
fn ask_for_huge_pages(_: &mut [u8]) {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_of_it_is_zero_and_can_be_written() {
        for n_bytes in [0, 1, LEAST_BYTES - 1, LEAST_BYTES, (9 << 20) + 5] {
            let mut bytes = zeros(n_bytes).unwrap();
            assert!(bytes.len() == n_bytes && bytes.iter().all(|it| *it == 0));
            bytes.fill(7);
            assert!(bytes.iter().all(|it| *it == 7));
        }
        assert_eq!(zeros(usize::MAX), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn much_memory_is_asked_for_in_huge_pages() {
        if std::fs::metadata("/sys/kernel/mm/transparent_hugepage").is_err() {
            nodedata_testkit::skipped("this system has no huge pages of its own accord");
            return;
        }
        let is_asked = |bytes: &[u8]| {
            let middle = bytes.as_ptr().addr() + bytes.len() / 2;
            let maps = std::fs::read_to_string("/proc/self/smaps").unwrap();
            let mut is_here = false;
            let flags = maps.lines().find(|line| {
                let range = line.split(' ').next().and_then(|it| it.split_once('-'));
                let ends = range.map(|it| (usize::from_str_radix(it.0, 16), usize::from_str_radix(it.1, 16)));
                if let Some((Ok(start), Ok(end))) = ends {
                    is_here = (start..end).contains(&middle);
                }
                is_here && line.starts_with("VmFlags:")
            });
            flags.unwrap().split(' ').any(|it| it == "hg")
        };
        assert!(is_asked(&zeros(64 << 20).unwrap()));
        assert!(!is_asked(&vec![0; 64 << 20]), "nobody else's memory is meant");
    }
}
