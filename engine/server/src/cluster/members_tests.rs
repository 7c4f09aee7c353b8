use super::Members;

#[test]
fn a_list_is_read_in_any_order_and_written_in_one() {
    let members = Members::parse(" 3=c.example:9700 ,1=127.0.0.1:9700, 2=[::1]:9700,").unwrap();
    assert_eq!(members.to_string(), "1=127.0.0.1:9700,2=[::1]:9700,3=c.example:9700");
    assert_eq!(Members::parse(&members.to_string()), Ok(members.clone()));
    assert_eq!((members.len(), members.founder()), (3, 1));
    assert_eq!(members.address(2).map(ToString::to_string).as_deref(), Some("[::1]:9700"));
    assert_eq!(members.others(2).map(|member| member.node).collect::<Vec<_>>(), [1, 3]);
    assert!(members.address(4).is_none());
}

#[test]
fn what_is_wrong_with_a_list_is_said() {
    for (text, part) in [
        ("", "it must name all servers"),
        ("1=a:1", "a single server needs no list"),
        ("1=a:1,b:2", "`b:2` is not of the form NODE=HOST:PORT"),
        ("1=a:1,x=b:2", "does not begin with a node.id"),
        ("1=a:1,-1=b:2", "does not begin with a node.id"),
        ("1=a:1,2147483648=b:2", "does not begin with a node.id"),
        ("1=a:1,2=b", "the port is missing"),
        ("1=a:1,2=b:0", "others can connect to"),
        ("1=a:1,2=:2", "others can connect to"),
        ("1=a:1,2=0.0.0.0:2", "others can connect to"),
        ("1=a:1,2=b:2,1=c:3", "server 1 stands twice"),
        ("1=a:1,2=a:1", "servers 1 and 2 have the same address"),
    ] {
        let why = Members::parse(text).unwrap_err();
        assert!(why.contains(part), "{text}: {why}");
    }
    let many: Vec<String> = (0..300).map(|node| format!("{node}=h{node}:1")).collect();
    assert!(Members::parse(&many.join(",")).unwrap_err().contains("2 to 256"));
}
