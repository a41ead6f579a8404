//! Prints rows in columns as wide as their widest cell.

/// The lines of a table, a rule under the head.
pub(crate) fn lines<const N: usize>(head: [&str; N], rows: &[[String; N]]) -> Vec<String> {
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells
            .chain([head[column].chars().count()])
            .max()
            .unwrap_or(0)
    };
    let widths: [usize; N] = std::array::from_fn(width);
    let line = |cells: [&str; N]| {
        let padded: Vec<String> = cells
            .iter()
            .zip(widths)
            .map(|(cell, width)| format!("{cell:<width$}"))
            .collect();
        padded.join("  ").trim_end().to_owned()
    };
    let rule = widths.map(|width| "-".repeat(width));
    let mut lines = vec![line(head), line(std::array::from_fn(|n| rule[n].as_str()))];
    lines.extend(
        rows.iter()
            .map(|row| line(std::array::from_fn(|n| row[n].as_str()))),
    );
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [
            ["1".to_owned(), "web".to_owned()],
            ["200".to_owned(), "db".to_owned()],
        ];
        assert_eq!(
            lines(["id", "role"], &rows),
            ["id   role", "---  ----", "1    web", "200  db"]
        );
    }
}
