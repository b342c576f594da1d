use super::*;

#[test]
fn the_distribution_is_found_wherever_it_is_told() {
    let found = |pairs: &[(&str, &str)]| distros(pairs.iter().copied()).into_iter().collect::<Vec<_>>();
    assert_eq!(found(&[("ros_distro", "humble")]), ["humble"]);
    assert_eq!(found(&[("rosbag2.ROS_DISTRO", " jazzy "), ("other", "ros_distro")]), ["jazzy"]);
    let yaml = "version: 9\nros_distro: 'kilted'\ncustom_data: ~\n";
    assert_eq!(found(&[("rosbag2.serialized_metadata", yaml)]), ["kilted"]);
    assert_eq!(found(&[("ros_distro", ""), ("robot", "arm")]), Vec::<String>::new());
}

#[test]
fn the_first_the_last_and_some_between_are_looked_at() {
    let mut sample = Sample::default();
    for n in 0..2500u32 {
        sample.observe(&n.to_le_bytes());
    }
    let kept: Vec<u32> =
        sample.payloads().iter().map(|it| u32::from_le_bytes((*it).try_into().unwrap())).collect();
    assert_eq!(kept[..16], (0..16).collect::<Vec<_>>());
    assert_eq!(kept[16..], [999, 1999, 2499]);
}

#[test]
fn payloads_are_bounded_by_their_bytes() {
    let mut sample = Sample::default();
    let large = vec![0; SAMPLE_BYTES_MAX - 10];
    (0..3).for_each(|_| sample.observe(&large));
    sample.observe(&[1; 10]);
    sample.observe(&[2; 11]);
    let lengths: Vec<usize> = sample.payloads().iter().map(|it| it.len()).collect();
    assert_eq!(lengths, [SAMPLE_BYTES_MAX - 10, 10]);
    let mut sample = Sample::default();
    sample.observe(&vec![0; SAMPLE_BYTES_MAX + 1]);
    assert_eq!(sample.payloads().len(), 1);
}
