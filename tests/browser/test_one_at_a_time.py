"""`make lab` keeps what controls say out of a second thread, which could meet a cell that runs."""

SLOW = """
import threading, time
import ipywidgets as widgets
from quantlab.show import explorer

inside, most, threads = [], [], set()


def render(a, b, c):
    inside.append(1)
    most.append(len(inside))
    threads.add(threading.current_thread().name)
    time.sleep(0.3)
    inside.pop()
    return f"<p>{a}{b}{c}</p>"


buttons = [widgets.ToggleButtons(options=["x", "y"], description=name) for name in "abc"]
explorer.Explorer(dict(zip("abc", buttons)), render, title="slow")
"""


def test_what_controls_say_is_answered_in_the_thread_of_the_cells(lab):
    one = lab()
    one.write(SLOW)
    one.run_all()
    # JupyterLab sends the first messages to the cells' thread while it starts another one.
    for word in "yxy":
        for name in "abc":
            toggle = one.page.locator(".widget-toggle-buttons", has_text=name)
            toggle.get_by_text(word).last.click()
    one.settle()
    assert one.execute("print(max(most), *threads)") == "1 MainThread"
    assert one.page.locator(".widget-html", has_text="yyy").count() == 1
