//! A table as data; each writer draws it in its own way.

/// A column's heading and alignment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Its heading.
    pub name: String,
    /// Whether the cells are right-aligned, as numbers are.
    pub right: bool,
}

/// A table: `rows[r][c]` belongs to `columns[c]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// What the table shows.
    pub title: String,
    /// Its columns, from left to right.
    pub columns: Vec<Column>,
    /// Its rows, each with one cell per column.
    pub rows: Vec<Vec<String>>,
}

impl Table {
    /// A table without rows. Headings of columns that hold numbers start with `>`: `["model", ">tokens/s"]`.
    pub fn new(title: &str, columns: &[&str]) -> Self {
        let column = |name: &&str| Column {
            name: name.trim_start_matches('>').to_owned(),
            right: name.starts_with('>'),
        };
        Table {
            title: title.to_owned(),
            columns: columns.iter().map(column).collect(),
            rows: vec![],
        }
    }

    /// Adds a row with one cell per column.
    pub fn row<const N: usize>(&mut self, cells: [String; N]) {
        self.rows.push(cells.to_vec());
    }

    /// Adds a row, unless the table already contains the same row.
    pub fn row_once<const N: usize>(&mut self, cells: [String; N]) {
        if !self.rows.iter().any(|row| row[..] == cells) {
            self.row(cells);
        }
    }

    /// Removes the columns in which every cell is empty.
    pub fn without_empty_columns(mut self) -> Self {
        let filled = |index: usize| self.rows.iter().any(|row| !row[index].is_empty());
        let keep: Vec<bool> = (0..self.columns.len()).map(filled).collect();
        let mut kept = keep.iter().copied().cycle();
        // A row has as many cells as there are columns, so the cycle starts again with each row.
        self.columns.retain(|_| kept.next().unwrap_or(true));
        self.rows
            .iter_mut()
            .for_each(|row| row.retain(|_| kept.next().unwrap_or(true)));
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_columns_go() {
        let mut table = Table::new("t", &["a", ">b", "c"]);
        let cells = |texts: [&str; 3]| texts.map(str::to_owned);
        table.row(cells(["1", "", ""]));
        table.row_once(cells(["1", "", ""]));
        table.row_once(cells(["2", "", "x"]));
        let table = table.without_empty_columns();
        let names: Vec<&str> = table.columns.iter().map(|column| column.name.as_str()).collect();
        assert_eq!(
            (names, table.rows),
            (
                vec!["a", "c"],
                vec![vec!["1".into(), "".to_owned()], vec!["2".into(), "x".into()]]
            )
        );
    }
}
