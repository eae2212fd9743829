"""What is said in English where a chip was not written, changed or found right."""

from typing import Final

from services.issuance.domain.refusal import Refusal

CHIP_SENTENCES: Final[dict[Refusal, str]] = {
    Refusal.CARD_GONE: "The card left the reader or lost its power. Insert it again: it goes on where it stopped.",
    Refusal.CARD_SILENT: "The card did not answer in time. Take it out, wipe the chip, insert the same card again.",
    Refusal.READER_TROUBLE: "The card reader failed. Check its cable and insert the same card again, or use another one.",
    Refusal.ANSWERS_MISSING: "The terminal's answers are incomplete. Insert the card again; if it recurs, report the terminal.",
    Refusal.PRODUCT_UNKNOWN: "This kind of card is not known. Put in a blank social security card of this city.",
    Refusal.NOT_A_SOCIAL_SECURITY_CARD: "There is no social security application on this card. Put in a blank of this city.",
    Refusal.FOREIGN_CARD: "This is not the card that is being made. Put the original card back to go on.",
    Refusal.IDENTIFIER_UNREADABLE: "The card identifier cannot be read. Insert it again, or record it as spoiled.",
    Refusal.CARD_NOT_GENUINE: "The card did not prove that it is genuine. Give it to the keeper at once, take another blank.",
    Refusal.KEY_REFUSED: "The card does not accept the city's keys. Record it as spoiled, take another blank.",
    Refusal.KEY_LOCKED: "The card's key is locked. Record the card as spoiled, take another blank.",
    Refusal.KEY_TRIES_USED: "Few tries are left for the card's key: stopped. Record it as spoiled, take another blank.",
    Refusal.KEY_LOAD_REFUSED: "The card refused a new key. Record it as spoiled, take another blank.",
    Refusal.KEYS_NOT_GIVEN: "The key vault gives nothing for this card. Insert it later; if it recurs, call the administrator.",
    Refusal.CHALLENGE_MALFORMED: "The card's random number has a wrong length. Record it as spoiled, take another blank.",
    Refusal.CHALLENGE_REPEATED: "The card repeated a random number: card or terminal may be forged. Stop, tell the supervisor.",
    Refusal.ANSWER_TOO_LONG: "The card answered more than was asked for. Record it as spoiled, take another blank.",
    Refusal.STATUS_UNEXPECTED: "The card answered with an unexpected status. Record it as spoiled, take another blank.",
    Refusal.SECURITY_LOST: "The card was reset meanwhile. Insert it again: it goes on where it stopped.",
    Refusal.FACTORY_DATA_DIFFER: "The factory's data do not fit this product. Give the card to the keeper, take another blank.",
    Refusal.READING_REFUSED: "The card hides what it should show. Record it as spoiled, take another blank.",
    Refusal.WRITING_REFUSED: "The card refused to be written. Record it as spoiled, take another blank.",
    Refusal.READ_BACK_DIFFERS: "What was read back is not what was written. Record it as spoiled, take another blank.",
    Refusal.VALUE_NOT_CARRIED: "The registered data have a character that the chip lacks. Pass the case to the back office.",
    Refusal.VALUE_TOO_LONG: "The registered data are too long for the chip. Pass the case to the back office.",
    Refusal.VALUE_MALFORMED: "The registered data are incomplete or malformed. Have them corrected first.",
    Refusal.PIN_MALFORMED: "A PIN has six digits. Ask the holder to key it in again.",
    Refusal.PIN_NOT_CHANGED: "The card did not take the new PIN. Insert it again; if it fails once more, replace the card.",
    Refusal.NO_PIN_ON_CARD: "This kind of card has no PIN to reset. Reset the online PIN instead.",
}
