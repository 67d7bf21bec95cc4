package io.anymatix.fetcher;

import static com.tngtech.archunit.core.domain.JavaClass.Predicates.resideInAnyPackage;
import static com.tngtech.archunit.core.domain.JavaClass.Predicates.resideOutsideOfPackages;
import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.noClasses;
import static com.tngtech.archunit.library.Architectures.layeredArchitecture;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.tngtech.archunit.core.domain.JavaClasses;
import com.tngtech.archunit.core.importer.ClassFileImporter;
import com.tngtech.archunit.core.importer.ImportOption;
import io.anymatix.fetcher.http.RetryPolicy;
import org.junit.jupiter.api.Test;

/** Packages point one way, and each library is known to one package alone. */
class LayerTest {
  private static final String ROOT = "io.anymatix.fetcher";

  private static final JavaClasses CLASSES =
      new ClassFileImporter()
          .withImportOption(new ImportOption.DoNotIncludeTests())
          .importPackages(ROOT);

  @Test
  void theMainClassesWereFound() {
    assertTrue(CLASSES.contain(Main.class), "no class was imported, so no rule was checked");
  }

  @Test
  void packagesPointOneWay() {
    layeredArchitecture()
        .consideringOnlyDependenciesInAnyPackage(ROOT + "..")
        .layer("main")
        .definedBy(ROOT)
        .layer("cli")
        .definedBy(in("cli"))
        .layer("rpc")
        .definedBy(in("rpc"))
        .layer("fetch")
        .definedBy(in("fetch"))
        .layer("source")
        .definedBy(in("source"))
        .layer("transfer")
        .definedBy(in("transfer"))
        .layer("http")
        .definedBy(in("http"))
        .layer("store")
        .definedBy(in("store"))
        .layer("config")
        .definedBy(in("config"))
        .layer("content")
        .definedBy(in("content"))
        .layer("failure")
        .definedBy(in("failure"))
        .whereLayer("main")
        .mayOnlyAccessLayers("cli")
        .whereLayer("cli")
        .mayOnlyAccessLayers("rpc", "fetch", "config", "content", "failure")
        .whereLayer("rpc")
        .mayOnlyAccessLayers("fetch", "config", "content", "failure")
        .whereLayer("fetch")
        .mayOnlyAccessLayers("source", "transfer", "http", "store", "config", "content", "failure")
        .whereLayer("source")
        .mayOnlyAccessLayers("http", "config", "content", "failure")
        .whereLayer("transfer")
        .mayOnlyAccessLayers("http", "store", "config", "content", "failure")
        .whereLayer("http")
        .mayOnlyAccessLayers("config", "content", "failure")
        .whereLayer("store")
        .mayOnlyAccessLayers("config", "content", "failure")
        .whereLayer("config")
        .mayNotAccessAnyLayer()
        .whereLayer("content")
        .mayOnlyAccessLayers("failure")
        .whereLayer("failure")
        .mayNotAccessAnyLayer()
        .check(CLASSES);
  }

  @Test
  void onlyTheEntryPointAndTheCommandLineTouchTheStandardStreams() {
    noClasses()
        .that(resideOutsideOfPackages(in("cli")))
        .and()
        .doNotBelongToAnyOf(Main.class)
        .should()
        .accessField(System.class, "out")
        .orShould()
        .accessField(System.class, "err")
        .orShould()
        .callMethod(Throwable.class, "printStackTrace")
        .check(CLASSES);
  }

  @Test
  void onlyTheRpcPackageKnowsTheJsonRpcLibrary() {
    isKnownOnlyTo(in("rpc"), "com.googlecode.jsonrpc4j..");
  }

  @Test
  void onlyTheHttpPackageKnowsTheHttpClients() {
    isKnownOnlyTo(in("http"), "org.apache.hc..", "java.net.http..");
  }

  @Test
  void onlyTheCommandLineKnowsTheTerminalLibraries() {
    isKnownOnlyTo(in("cli"), "org.apache.commons.cli..", "org.jline..");
  }

  @Test
  void onlyTheRetryPolicyKnowsTheRetryLibrary() {
    noClasses()
        .that()
        .doNotBelongToAnyOf(RetryPolicy.class)
        .should()
        .dependOnClassesThat(resideInAnyPackage("io.github.resilience4j.."))
        .check(CLASSES);
  }

  private static void isKnownOnlyTo(String owner, String... libraryPackages) {
    noClasses()
        .that(resideOutsideOfPackages(owner))
        .should()
        .dependOnClassesThat(resideInAnyPackage(libraryPackages))
        .check(CLASSES);
  }

  private static String in(String name) {
    return ROOT + "." + name + "..";
  }
}
