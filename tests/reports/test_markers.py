import pytest

from reports.markers import check, csv_table, fill, main, names, write

DOCUMENT = """# Title

<!-- seqzoo:speed -->
old numbers
<!-- /seqzoo:speed -->

text with <!-- a comment --> and | pipes |

<!-- seqzoo:default-contrast --><!-- /seqzoo:default-contrast -->
end
"""


@pytest.fixture
def data(tmp_path, make_study):
    """What a project commits: a csv, a study, a text."""
    folder = tmp_path / "data"
    study = make_study({"baseline": [0.5, 0.6, 0.7], "decay=off": [0.7, 0.8, 0.95]})
    folder.mkdir()
    study.directory.rename(folder / "default-contrast")
    (folder / "speed.csv").write_text("what,ratio\nMQAR | step,5.8x\nall,12\n")
    return folder


@pytest.fixture
def document(tmp_path):
    path = tmp_path / "README.md"
    path.write_text(DOCUMENT)
    return path


def test_marked_places_are_written_and_nothing_else(document, data):
    write(document, data)
    text = document.read_text()
    speed = "| what | ratio |\n| --- | --: |\n| MQAR \\| step | 5.8x |\n| all | 12 |"
    assert f"<!-- seqzoo:speed -->\n\n{speed}\n\n<!-- /seqzoo:speed -->" in text
    assert "old numbers" not in text
    assert "| decay=off | 3/3 |     0.82 ± 0.31 |" in text
    assert "- decay=off changed test accuracy by +0.217" in text
    outside = [
        DOCUMENT.split("<!-- seqzoo:speed -->")[0],
        "text with <!-- a comment -->",
        "\nend\n",
    ]
    assert all(part in text for part in outside)


def test_a_document_is_up_to_date_until_the_data_change(document, data):
    assert not check(document, data)
    write(document, data)
    assert check(document, data)
    before = document.read_text()
    write(document, data)
    assert document.read_text() == before
    (data / "speed.csv").write_text("what,ratio\nMQAR | step,5.9x\nall,12\n")
    assert not check(document, data)


def test_a_typed_number_is_noticed(document, data):
    write(document, data)
    document.write_text(document.read_text().replace("5.8x", "9.9x"))
    assert not check(document, data)


def test_a_text_goes_before_a_table(document, data):
    (data / "speed.md").write_text("as *written*\n")
    write(document, data)
    assert "\n\nas *written*\n\n" in document.read_text()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<!-- seqzoo:a -->", "<!-- seqzoo:a --> has no partner"),
        ("<!-- /seqzoo:a -->", "<!-- /seqzoo:a --> has no partner"),
        ("<!-- seqzoo:a --><!-- /seqzoo:b -->", "<!-- /seqzoo:b --> has no partner"),
        ("<!-- seqzoo:a --><!-- seqzoo:b --><!-- /seqzoo:b --><!-- /seqzoo:a -->", "no partner"),
        ("<!-- seqzoo:a --><!-- /seqzoo:a -->" * 2, "stands there twice"),
    ],
)
def test_broken_markers_are_refused(text, message):
    with pytest.raises(ValueError, match=message):
        names(text)


def test_names_in_order():
    assert names(DOCUMENT) == ["speed", "default-contrast"]
    assert names("no markers, <!-- seqzoo:../evil -->") == []


def test_a_text_cannot_bring_markers_of_its_own():
    with pytest.raises(ValueError, match="contains a marker"):
        fill("<!-- seqzoo:a --><!-- /seqzoo:a -->", {"a": "<!-- /seqzoo:a -->"})


def test_a_csv_needs_a_header_and_rows_of_one_length():
    for text in ("", "a,b\n1\n"):
        with pytest.raises(ValueError, match="a header and rows of one length"):
            csv_table(text)


def test_the_program(document, data, capsys):
    words = [str(document), f"data={data}"]
    assert main([*words, "check=yes"]) == 1
    assert "README.md: not up to date" in capsys.readouterr().err
    assert main(words) == 0
    assert main([*words, "check=yes"]) == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["README.md"], "usage"),
        (["data=."], "usage"),
        (["README.md", "data=.", "chek=yes"], "unknown word 'chek'"),
        (["nothing.md", "data=."], "nothing.md"),
        (["README.md", "data=."], "for the marker 'speed'"),
    ],
)
def test_what_the_user_can_mend_is_one_line(document, monkeypatch, words, message, capsys):
    monkeypatch.chdir(document.parent)
    assert main(words) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert document.read_text() == DOCUMENT
