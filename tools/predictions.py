"""Which outputs of a notebook answer a prediction, and so are folded until a reader asks."""

MARK = "**Predict.**"


def answers_of(notebook):
    """Return the places of the code cells that answer a **Predict.**, in order.

    notebook: a NotebookNode. A prediction is answered by the code cells that follow it directly,
    up to the next markdown cell.
    """
    found, open_question = [], False
    for place, cell in enumerate(notebook.cells):
        if cell.cell_type != "code":
            open_question = cell.cell_type == "markdown" and MARK in cell.source
        elif open_question:
            found.append(place)
    return found
