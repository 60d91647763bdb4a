-- Units of usage beside tokens of text: audio, images, searches, characters … as a JSON object of counts; NULL where there
-- are none, which is nearly always. One column for all of them keeps the rows of settlements short.
ALTER TABLE generations ADD COLUMN other_usage TEXT;
