"""What the account knows of its customers beside their chats: properties, and tags on rooms."""

from sebastian_adapters.memory.platform.rooms import FakeRoom, Rooms
from sebastian_adapters.memory.platform.values import Properties, Refusal, Tag


class Customers:
    """Reads and writes what people and programs note down about a customer."""

    def __init__(self, rooms: Rooms) -> None:
        self._rooms = rooms
        self._tags: dict[str, Tag] = {}

    def room(self, room_id: str) -> FakeRoom | Refusal:
        """The room with its properties and tags."""
        return self._rooms.get(room_id) or Refusal(404, "no such room")

    def set_properties(self, room_id: str, properties: Properties) -> FakeRoom | Refusal:
        """Replace the customer's properties, as the platform does: whoever adds one reads first."""
        room = self.room(room_id)
        if isinstance(room, FakeRoom):
            room.properties = properties
        return room

    def add_tag(self, room_id: str, name: str) -> Tag | Refusal:
        """Put the tag on the room, once."""
        room = self.room(room_id)
        if isinstance(room, Refusal):
            return room
        tag = self._tags.setdefault(name, Tag(len(self._tags) + 1, name))
        if tag not in room.tags:
            room.tags.append(tag)
        return tag
