use crate::output::{Align, Table};

#[test]
fn columns_are_aligned_and_nothing_trails() {
    let mut table = Table::new(&[("NAME", Align::Left), ("PARTITIONS", Align::Right), ("ID", Align::Left)]);
    table.row(["orders".into(), "12".into(), String::new()]);
    table.row(["päckchen".into(), "3".into(), "x".into()]);
    let expected = "NAME      PARTITIONS  ID\n\
                    orders            12  -\n\
                    päckchen           3  x\n";
    assert_eq!(table.to_string(), expected);
}

#[test]
fn an_empty_table_is_its_headline() {
    assert_eq!(Table::new(&[("NAME", Align::Left)]).to_string(), "NAME\n");
}
