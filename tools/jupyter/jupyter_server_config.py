"""JupyterLab as `make lab` starts it, on top of the reader's own settings.

The server hands an answer of Python to the browser in several small messages. TCP holds all but
the first back until the browser has confirmed that one, which takes it 40 ms: an explorer that
answers in 15 ms then answers in 55. TCP_NODELAY sends each message at once.

What controls say stays in the thread of the cells (labconfig/default_setting_overrides.json). From
4.4 on JupyterLab hands it to a second one: then an explorer may load a model while a cell does, and
as a load changes torch for the whole process, both can come out wrong.

A style sheet of ours keeps folded answers closed (custom/custom.css says how).
"""

from pathlib import Path

from jupyter_server.services.kernels.connection.channels import ZMQChannelsWebsocketConnection


class AtOnce(ZMQChannelsWebsocketConnection):
    """A kernel's connection to the browser that sends each message at once."""

    def connect(self):
        self.websocket_handler.set_nodelay(True)
        return super().connect()


c = get_config()  # noqa: F821
c.ServerApp.kernel_websocket_connection_class = AtOnce
c.LabApp.custom_css = True
c.ServerApp.tornado_settings = {"static_custom_path": [str(Path(__file__).parent / "custom")]}
