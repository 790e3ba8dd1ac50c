use super::{Classes, Encoder, Table};

fn table(csv: &str) -> Table {
    Table::read(csv.as_bytes(), b',', true).unwrap()
}

fn refused(csv: &str) -> String {
    Table::read(csv.as_bytes(), b',', true).err().unwrap()
}

/// Features of every row, and all notes.
fn encoded(
    csv: &str,
    training: &[usize],
    categorical: &[&str],
    impute: bool,
) -> Result<(Vec<f32>, Vec<String>), String> {
    let table = table(csv);
    let categorical: Vec<_> = categorical.iter().map(|name| name.to_string()).collect();
    let encoder = Encoder::new(&table, training, &categorical, impute)?;
    let (values, notes) = encoder.encode(&table)?;
    assert_eq!(values.len(), table.rows() * encoder.features());
    Ok((values, [encoder.notes, notes].concat()))
}

#[test]
fn numbers_stay_and_text_becomes_one_hot() {
    let csv = "size,color,sold\n1.5,red,1\n-2e3,blue,0\n 7 , red ,1\n";
    let (values, notes) = encoded(csv, &[0, 1, 2], &["sold"], false).unwrap();
    let expected = [
        [1.5, 0.0, 1.0, 0.0, 1.0],
        [-2000.0, 1.0, 0.0, 1.0, 0.0],
        [7.0, 0.0, 1.0, 0.0, 1.0],
    ];
    assert_eq!((values, notes), (expected.concat(), Vec::new()));
}

#[test]
fn quotes_crlf_marks_and_separators_are_read_as_spreadsheets_write_them() {
    let plain = "\u{feff}a,\"b, \"\"c\"\"\"\r\n\"1\",\"x\r\ny\"\r\n2,z\r\n";
    let semicolons = "a;b, \"c\"\n1;\"x\r\ny\"\n2;z";
    for (csv, separator) in [(plain, b','), (semicolons, b';')] {
        let mut table = Table::read(csv.as_bytes(), separator, true).unwrap();
        assert_eq!((table.rows(), table.columns()), (2, 2));
        let column = table.take("b, \"c\"").unwrap().column;
        assert_eq!(column.cells, [Some("x\r\ny".into()), Some("z".into())]);
    }
}

#[test]
fn without_a_header_columns_have_numbers() {
    let table = Table::read(&b"1,red\n2,blue\n"[..], b',', false).unwrap();
    assert_eq!((table.rows(), table.columns()), (2, 2));
    assert_eq!(table.columns[1].name, "2");
    let forgotten = Table::read(&b"red,1\nblue,2\n"[..], b',', true).unwrap();
    assert_eq!(forgotten.number_in_header(), Some("1"));
}

#[test]
fn files_that_are_no_tables_are_refused_in_words() {
    for (csv, message) in [
        ("", "the table has no rows"),
        ("a,b\n", "the table has no rows"),
        (
            "a,b,a\n1,2,3\n",
            "the header has \"a\" twice, in columns 1 and 3; rename one",
        ),
        (
            "a,b\n1,2\n3\n",
            "line 3: the row has 1 cells, those before it 2",
        ),
        (
            "a,b\r\n1,2\r\n3,4,5\r\n",
            "line 3: the row has 3 cells, those before it 2",
        ),
    ] {
        assert_eq!(refused(csv), message, "{csv:?}");
    }
    let latin = Table::read(&b"a,b\n1,caf\xe9\n"[..], b',', true);
    assert_eq!(
        latin.err().unwrap(),
        "line 2: the text is not UTF-8; save the file as that"
    );
    let error = table("a,b\n1,2\n").take("c").err().unwrap();
    assert_eq!(
        error,
        "there is no column \"c\", only a, b; is it the right separator?"
    );
}

#[test]
fn cells_that_fit_no_column_are_refused_with_their_place() {
    for (csv, message) in [
        (
            "a,b\n1,2\n,3\n",
            "row 2 (line 3), column \"a\": there is no value; add --impute mean, or --drop \"a\"",
        ),
        // A row of two lines comes before, or lines that end with two bytes, and blank ones.
        (
            "a,b\r\n1,2\r\n\r\n,3\r\n",
            "row 2 (line 4), column \"a\": there is no value; add --impute mean, or --drop \"a\"",
        ),
        (
            "a,b\n1,\"x\ny\"\nNA,z\n",
            "row 2 (line 4), column \"a\": there is no value; add --impute mean, or --drop \"a\"",
        ),
        (
            "a\n1\n2\nmany\n",
            "row 3 (line 4), column \"a\": \"many\" is no number, as other rows have; correct it, or add \
             --categorical \"a\"",
        ),
        (
            "a\n1\ninf\n",
            "row 2 (line 3), column \"a\": \"inf\" is not finite as an f32",
        ),
        (
            "a\n1\n-1e39\n",
            "row 2 (line 3), column \"a\": \"-1e39\" is not finite as an f32",
        ),
        (
            "a\n\"1,5\"\n2\n",
            "row 1 (line 2), column \"a\": \"1,5\" has a comma; write the number with a point",
        ),
    ] {
        assert_eq!(encoded(csv, &[0, 1], &[], false).unwrap_err(), message);
    }
    let error = encoded("a\n1\n2\n", &[0, 1], &["b"], false).unwrap_err();
    assert!(error.starts_with("there is no column \"b\""), "{error}");
    let names: String = (0..300).map(|i| format!("name {i}\n")).collect();
    let rows: Vec<_> = (0..300).collect();
    let error = encoded(&format!("a\n{names}"), &rows, &[], false).unwrap_err();
    assert_eq!(
        error,
        "column \"a\" has 300 categories, more than 256; if it names the rows, add --drop \"a\""
    );
}

#[test]
fn a_missing_value_becomes_the_mean_of_the_rows_that_are_trained_on() {
    let csv = "a,b\n1,x\n?,y\n4,x\n100,\n";
    let (values, notes) = encoded(csv, &[0, 1, 2], &[], true).unwrap();
    let third = 1.0 / 3.0;
    let expected = [
        [1.0, 1.0, 0.0],
        [2.5, 0.0, 1.0],
        [4.0, 1.0, 0.0],
        [100.0, 2.0 * third, third],
    ];
    assert_eq!(values, expected.concat());
    assert_eq!(
        notes,
        ["a", "b"].map(|name| format!(
            "column {name:?} has no value in 1 of 4 rows; its mean stands there"
        ))
    );
}

#[test]
fn columns_that_tell_nothing_are_left_out_with_a_note() {
    // What is written differently may be the same number, also as an f32.
    let csv = "a,b,c,d,e\n1,,x,16777216,0\n1.0,,x,16777217,1\n2,,y,3,2\n";
    let (values, notes) = encoded(csv, &[0, 1], &[], false).unwrap();
    assert_eq!(values, [0.0, 1.0, 2.0]);
    let same = |name: &str, value: &str| {
        format!("column {name:?} is {value} in every row that is trained on, and is left out")
    };
    let nothing = "column \"b\" has no value, and is left out".into();
    let expected = [
        same("a", "1"),
        nothing,
        same("c", "x"),
        same("d", "16777216"),
    ];
    assert_eq!(notes, expected);
    let error = encoded("a\n1\n1\n", &[0, 1], &[], false).unwrap_err();
    assert_eq!(error, "no column is left to learn from");
    let (_, notes) = encoded("a,b\n,1\n,2\n3,4\n", &[0, 1], &[], true).unwrap();
    assert_eq!(notes, [same("a", "missing")]);
}

#[test]
fn a_category_that_only_the_test_has_is_none() {
    let csv = "a,b\nx,1\ny,2\nz,3\n";
    let (values, notes) = encoded(csv, &[0, 1], &[], false).unwrap();
    assert_eq!(values, [1.0, 0.0, 1.0, 0.0, 1.0, 2.0, 0.0, 0.0, 3.0]);
    let note = "column \"a\" is \"z\" only in rows that are not trained on: no category there";
    assert_eq!(notes, [note]);
}

#[test]
fn classes_are_in_order_and_have_three_rows_each() {
    let classes = |cells: &str| table(&format!("a\n{cells}")).take("a").unwrap().classes();
    let numbers = classes("10\n9\n10\n9\n9\n10\n").unwrap();
    let expected = Classes {
        names: vec!["9".into(), "10".into()],
        labels: vec![1, 0, 1, 0, 0, 1],
    };
    assert_eq!(numbers, expected);
    for (cells, message) in [
        (
            "x\nx\nx\n",
            "column \"a\" is \"x\" in every row; there must be two classes at least",
        ),
        (
            "x\nx\nx\ny\n",
            "class \"y\" of column \"a\" has 1 row; it takes 3 to train, validate and test; merge it with \
             another, or leave it out",
        ),
        (
            "1.5\n2.5\n2.5\n",
            "class \"1.5\" of column \"a\" has 1 row; it takes 3 to train, validate and test; if \"a\" is a \
             quantity, add --regression",
        ),
        (
            "x\nnull\n",
            "row 2 (line 3), column \"a\": there is no class; leave the row out",
        ),
    ] {
        assert_eq!(classes(cells).unwrap_err(), message);
    }
}

#[test]
fn a_target_of_numbers_has_one_in_every_row() {
    let numbers = |cells: &str| table(&format!("a,b\n{cells}")).take("a").unwrap().numbers();
    assert_eq!(numbers("1.5,0\n-2,0\n"), Ok(vec![1.5, -2.0]));
    for (cells, message) in [
        (
            "1,0\n,0\n",
            "row 2 (line 3), column \"a\": there is no value, and a target can't be made up; leave the row out",
        ),
        (
            "1,0\nx,0\n",
            "row 2 (line 3), column \"a\": \"x\" is no number, which a regression needs",
        ),
        (
            "1,0\ninfinity,0\n",
            "row 2 (line 3), column \"a\": \"infinity\" is not finite as an f32",
        ),
        (
            "2,0\n2.0,1\n",
            "column \"a\" is 2 in every row; there is nothing to learn",
        ),
    ] {
        assert_eq!(numbers(cells).unwrap_err(), message);
    }
}
