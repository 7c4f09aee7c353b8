use super::delete::question;
use super::describe::Topic;

#[test]
fn whoever_is_asked_is_told_how_much_goes() {
    let topics = [Topic::for_test("orders"), Topic::for_test("payments")];
    assert_eq!(question(&topics), "Delete these 2 topics with all their records?");
    assert_eq!(question(&topics[..1]), "Delete topic orders with all its records?");
}
