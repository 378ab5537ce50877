"""All menus of the fake router, by path. For every property there is a test that RouterOS 7.21 has it."""

from tests.fakes.routeros_menu import Menu
from tests.fakes.routeros_menus_access import ACCESS
from tests.fakes.routeros_menus_hotspot import HOTSPOT
from tests.fakes.routeros_menus_interface import INTERFACE
from tests.fakes.routeros_menus_ip import IP
from tests.fakes.routeros_menus_system import SYSTEM

MENUS: dict[str, Menu] = {**SYSTEM, **INTERFACE, **IP, **HOTSPOT, **ACCESS}
