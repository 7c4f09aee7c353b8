use crate::medium::Medium;
use std::path::Path;

const MOUNTS: &str = r"22 1 254:0 / / rw,relatime - ext4 /dev/vda rw
23 22 0:5 / /dev rw,nosuid - devtmpfs devtmpfs rw,size=1k
24 23 0:22 / /dev/shm rw,nosuid,nodev - tmpfs tmpfs rw
25 22 0:23 / /run rw,nosuid shared:5 - tmpfs run rw,mode=755
26 25 254:1 / /run/data rw - xfs /dev/vdb rw
27 22 0:24 / /old rw - ramfs none rw
28 22 1:0 / /ramdisk rw - ext4 /dev/ram0 rw
29 22 252:0 / /compressed rw - ext4 /dev/zram3 rw
30 22 254:2 / /fast rw - ext4 /dev/vdc rw,nobarrier
31 22 254:3 / /with\040space rw - tmpfs x rw
32 22 0:30 / /layer rw - overlay overlay rw,lowerdir=/l,upperdir=/u,workdir=/w
33 22 0:31 / /careless rw - overlay overlay rw,lowerdir=/l,upperdir=/u,workdir=/w,volatile
34 22 254:4 / /twice rw - tmpfs x rw
35 34 254:4 / /twice rw - ext4 /dev/vdd rw
";

#[test]
fn what_a_directory_lies_on() {
    let memory = |what: &str| Medium::Memory(what.to_string());
    for (path, medium) in [
        ("/var/lib/torc", Medium::Lasting),
        ("/dev/shm/torc", memory("tmpfs")),
        ("/dev/torc", memory("devtmpfs")),
        ("/run/torc", memory("tmpfs")),
        ("/run/data/torc", Medium::Lasting),
        ("/running/torc", Medium::Lasting),
        ("/old/torc", memory("ramfs")),
        ("/ramdisk/torc", memory("/dev/ram0")),
        ("/compressed/torc", memory("/dev/zram3")),
        ("/fast/torc", Medium::NoFlush("nobarrier".to_string())),
        ("/with space/torc", memory("tmpfs")),
        ("/layer/torc", Medium::ContainerLayer),
        ("/careless/torc", Medium::NoFlush("volatile".to_string())),
        ("/twice/torc", Medium::Lasting),
    ] {
        assert_eq!(Medium::among(MOUNTS, Path::new(path)), medium, "{path}");
    }
    assert_eq!(Medium::among("garbage\n\n1 2 3", Path::new("/x")), Medium::Lasting);
}

#[test]
fn only_what_a_flush_reaches_is_called_durable_and_the_rest_is_warned_of() {
    let path = Path::new("/x");
    assert!(Medium::Lasting.not_durable().is_none() && Medium::Lasting.warning(path).is_none());
    for medium in [Medium::Memory("tmpfs".into()), Medium::NoFlush("nobarrier".into())] {
        assert!(medium.not_durable().is_some());
        assert!(medium.warning(path).is_some_and(|text| text.contains("/x") && text.contains("power cut")));
    }
    assert!(Medium::ContainerLayer.warning(path).is_some_and(|text| text.contains("volume")));
}
