//! Ephemeral flows over both backends. The server's tests run the rest of the contract through the same decorator.

mod model;

mod json {
    use strom_test_support::json::open;

    strom_store::ephemeral_tests!(open);
}

mod postgres {
    use strom_test_support::postgres::open;

    strom_store::ephemeral_tests!(open);
}
