fn main() {
    siskin_link::wrap();
}
