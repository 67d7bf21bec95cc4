package io.anymatix.fetcher.content;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class ModelMetadataTest {
  /** Two variants of one name, one file of another name but of the first one's length. */
  private static final ModelMetadata VERSION =
      read(
          """
          {"files": [
            {"id": 1, "name": "a.safetensors", "sizeKB": 2082642.474609375},
            {"id": 2, "name": "a.safetensors", "sizeKB": 4165134.17},
            {"id": 3, "name": "b.safetensors", "sizeKB": 2082642.474609375},
            {"id": 4, "name": "c.safetensors"},
            {"id": 5, "name": "c.safetensors"}]}
          """);

  private static ModelMetadata read(String json) {
    try {
      return ModelMetadata.of(new ObjectMapper().readTree(json)).orElseThrow();
    } catch (IOException e) {
      throw new AssertionError(e);
    }
  }

  @ParameterizedTest
  @CsvSource({
    // asked id, name, length -> id of the file that is meant
    ",  a.safetensors, 2132625894, 1",
    ",  a.safetensors, 4265097390, 2",
    ",  a.safetensors, 4265097395, 2", // rounded to hundredths of a KiB
    ",  a.safetensors, 4265098000, ", // of no stated length
    ",  a.safetensors,           , ", // both may be meant
    ",  b.safetensors, 2132625894, 3",
    ",  b.safetensors,           , 3",
    ",  renamed.ckpt,  4265097390, 2",
    ",  renamed.ckpt,  2132625894, ", // two of that length
    ",  renamed.ckpt,            , ",
    ",  c.safetensors, 77,         ", // neither states a length
    ",              , 4265097390, 2",
    ",              , 2132625894, ",
    "3, a.safetensors, 2132625894, 3",
    "3, a.safetensors, 4265097390, ", // the id that was asked for is not what is served
    "4, renamed.ckpt,  77,         4",
    "9, a.safetensors, 2132625894, ",
  })
  void theServedFileIsFoundOrNoneIs(
      @Nullable Long fileId, @Nullable String name, @Nullable Long lengthBytes, @Nullable Long id) {
    assertEquals(
        id, VERSION.served(fileId, name, lengthBytes).map(ModelMetadata.File::id).orElse(null));
  }

  @Test
  void theOnlyFileIsMeantWhereNobodySaysWhatIsServed() {
    ModelMetadata single = read("{\"files\":[{\"id\":1,\"name\":\"a\",\"sizeKB\":1}]}");
    assertTrue(single.served(null, null, null).isPresent());
    assertTrue(single.served(null, "b", null).isEmpty());
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "{}",
        "{\"name\":1,\"baseModel\":{},\"model\":\"x\",\"trainedWords\":\"word\",\"files\":{}}",
        "{\"name\":null,\"trainedWords\":[null,1,\" \"],\"files\":null}",
      })
  void whatIsOfAnotherTypeThanExpectedCountsAsNotTold(String json) {
    ModelMetadata odd = read(json);
    assertNull(odd.modelName());
    assertNull(odd.versionName());
    assertNull(odd.baseModel());
    assertTrue(odd.trainedWords().isEmpty());
    assertTrue(odd.files().isEmpty());
  }

  @Test
  void aFileOfOddMembersIsAFileOfWhichNothingIsKnown() {
    ModelMetadata odd =
        read("{\"files\":[{\"id\":\"x\",\"sizeKB\":\"1\",\"hashes\":{\"SHA256\":\"abc\"}},7]}");
    assertEquals(2, odd.files().size());
    for (ModelMetadata.File file : odd.files()) {
      assertNull(file.id());
      assertNull(file.name());
      assertNull(file.sizeBytes());
      assertNull(file.sha256());
    }
  }
}
