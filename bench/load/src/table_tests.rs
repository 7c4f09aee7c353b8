use crate::limits::Multiples;
use crate::table::{Narrow, Table};

fn html(words: usize, cells: &[&str]) -> String {
    let row: Vec<String> = cells.iter().map(|cell| cell.to_string()).collect();
    let head = (0..cells.len()).map(|number| format!("head {number}")).collect();
    Table { words, head, rows: vec![row] }.html(Narrow::Cards)
}

#[test]
fn short_figures_stay_on_one_line_and_words_do_not() {
    let text = html(1, &["all kept, beside another", "≥ 0.800 x", "0.944 x to 0.970 x", "not graded"]);
    for part in
        ["all kept, beside", ">≥&nbsp;0.800&nbsp;x<", ">0.944&nbsp;x&nbsp;to&nbsp;0.970&nbsp;x<", ">not&nbsp;graded<"]
    {
        assert!(text.contains(part), "{part}: {text}");
    }
    let long = html(0, &["a sentence that is longer than any figure"]);
    assert!(long.contains(">a sentence that"), "{long}");
}

#[test]
fn a_first_column_of_figures_keeps_its_name_on_a_phone() {
    // The page leaves out the name of words alone: they are a card's title.
    assert!(html(1, &["run", "1"]).contains("<td class=\"words\" data-label=\"head 0\">run"));
    assert!(html(0, &["211", "1"]).contains("<td data-label=\"head 0\">211"));
    let page = crate::page::page("T", "");
    assert!(page.contains(".cards td.words:first-child::before{content:none}"), "{page}");
}

#[test]
fn of_a_limit_that_is_hardly_used_nothing_is_said() {
    let none = Multiples {
        p50_of_flush_and_round_trip: Some(4.48),
        p99_of_flush_and_round_trip: None,
        requests_per_flush: Some(0.647),
        of_sequential_write: Some(0.0001),
        of_sequential_read: Some(0.0),
        of_loopback: Some(0.0004),
    };
    assert_eq!(none.to_string(), "p50 4.48 x (flush + round trip), 0.647 requests per flush");
    let all = Multiples { p99_of_flush_and_round_trip: Some(9.0), of_sequential_write: Some(0.5), ..none };
    assert!(all.to_string().ends_with("p99 9.00 x (flush + round trip), 0.647 requests per flush, 0.500 x disk write"));
    assert_eq!(Multiples { p50_of_flush_and_round_trip: None, requests_per_flush: None, ..none }.to_string(), "-");
}
